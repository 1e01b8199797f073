import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { StoreOptions } from '../../src/index.js'

/** A path for a pool in a directory of its own, removed when the test ends. */
export function poolFile(t: TestContext): string {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'daxkv-portable-'))
  t.after(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return join(directory, 'pool')
}

const INDEX = new URL('../../src/index.ts', import.meta.url).href

/**
 * A process that opens the pool, runs `work` (which sees `store`), prints `ready` and stays until it is killed. Killed at
 * the end of the test at the latest.
 */
export async function startOwner(
  t: TestContext,
  path: string,
  options: StoreOptions,
  work = '',
): Promise<ChildProcess> {
  const code = `
    import { open } from ${JSON.stringify(INDEX)}
    const store = open(${JSON.stringify(path)}, ${JSON.stringify(options)})
    ${work}
    console.log('ready')
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('the owner ended by itself'))),
  ])
  return child
}

export async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

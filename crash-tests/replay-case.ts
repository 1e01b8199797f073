/**
 * Runs one case of a suite again, as the suite's failure message says.
 *
 *     npm run crash-tests:replay -- --fault 'page redo: commit: msync 3 EIO once' [--seed NUMBER]
 *     npm run crash-tests:replay -- --pool FILE --allowed DIGEST,DIGEST
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ready } from '../src/pmem/xxh64.js'
import { Engine } from '../src/tx/engine.js'
import { bundle } from './src/bundle.js'
import { contentOf } from './src/engine-content.js'
import { runFaultProcess } from './src/fault-process.js'
import { buildTestAddon, withAddon } from './src/test-addon.js'

async function replayFault(name: string, seed: number): Promise<number> {
  const addon = buildTestAddon()
  if ('missing' in addon) throw new Error(addon.missing)
  const worker = await bundle('fault-worker.ts', 'fault-worker', [withAddon(addon.path)])
  const directory = mkdtempSync(join(tmpdir(), 'daxkv-replay-'))
  let cases = 0
  const failures = await runFaultProcess({
    worker,
    directory,
    // Every number of every call, so that the case is among them whatever run it comes from.
    amount: 'long',
    seed,
    only: name,
    onCase: () => cases++,
    onRow: ({ outcomes }) => console.log(JSON.stringify(outcomes)),
  })
  for (const { message, path } of failures) console.error(`${message}\npool: ${path ?? '(the process died)'}`)
  if (cases === 0) console.error(`no case begins with "${name}"`)
  return failures.length === 0 && cases > 0 ? 0 : 1
}

/** Recovers copies of a pool that a killed writer left, under both loggings, and judges what they hold. */
function replayPool(pool: string, allowed: readonly string[]): number {
  const directory = mkdtempSync(join(tmpdir(), 'daxkv-replay-'))
  let wrong = 0
  try {
    for (const logging of ['undo', 'redo'] as const) {
      const copy = join(directory, `${logging}.pool`)
      copyFileSync(pool, copy)
      const engine = Engine.open(copy, { logging, create: false })
      const { digest, entries } = contentOf(engine)
      const right = allowed.includes(digest)
      if (!right) wrong++
      console.log(`${logging}: ${engine.recovery.outcome}, ${entries} entries, ${digest}: ${right ? 'right' : 'WRONG'}`)
      engine.close()
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
  return wrong === 0 ? 0 : 1
}

const { values } = parseArgs({
  options: {
    fault: { type: 'string' },
    seed: { type: 'string', default: '1' },
    pool: { type: 'string' },
    allowed: { type: 'string', default: '' },
  },
})
await ready
if (values.fault !== undefined) {
  process.exitCode = await replayFault(values.fault, Number(values.seed))
} else if (values.pool !== undefined) {
  process.exitCode = replayPool(values.pool, values.allowed.split(','))
} else {
  console.error('usage: see the head of crash-tests/replay-case.ts')
  process.exitCode = 2
}

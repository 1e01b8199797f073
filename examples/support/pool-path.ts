import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where an example keeps its pool: the path given as its argument, else a directory that is removed at exit. */
export function poolPath(name: string): string {
  const given = process.argv.at(2)
  if (given !== undefined) return given
  const directory = mkdtempSync(join(tmpdir(), 'daxkv-example-'))
  process.on('exit', () => {
    rmSync(directory, { recursive: true, force: true })
  })
  return join(directory, `${name}.pool`)
}

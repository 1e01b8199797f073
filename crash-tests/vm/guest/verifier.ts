/** Opens what a power cut left, as the next program would, and reports what is there; the host judges it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { open } from '../../../src/index.js'
import type { Key, Store } from '../../../src/index.js'
import { report } from './channel.js'
import { Content } from './content.js'
import { modeOf, spacesOf } from './modes.js'

/** Reports on the pool of one mode. */
export function verify(directory: string, image: number, name: string): void {
  const mode = modeOf(name)
  const path = join(directory, `${mode.name}.pool`)
  const line = { kind: 'verified', image, mode: mode.name } as const
  if (!existsSync(path)) {
    report({ ...line, digest: 'no pool', problem: '', recovery: 'no pool', granularity: '' })
    return
  }
  let store: Store
  try {
    // Size and log are the pool's own by now
    store = open<Key, unknown>(path, { ...mode.options, create: false })
  } catch (error) {
    report({ ...line, digest: '', problem: `open: ${message(error)}`, recovery: '', granularity: '' })
    return
  }
  const recovery = store.stats().recovery.outcome
  const { granularity } = store.persistence
  let problem = ''
  let digest = ''
  try {
    const found = store.check()
    if (!found.ok) problem = `check: ${found.problems.map((each) => each.message).join('; ')}`
    digest = Content.of(spacesOf(store))
    // It must not only be readable
    store.keyspace('verified').put('image', image)
  } catch (error) {
    problem = `${problem} ${message(error)}`
  }
  try {
    store.close()
  } catch (error) {
    problem = `${problem} close: ${message(error)}`
  }
  report({ ...line, digest, problem: problem.trim(), recovery, granularity })
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

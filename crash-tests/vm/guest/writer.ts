/** Works on a pool until its time is over or the power fails, and acknowledges each step when it is durable. */
import { constants, copyFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { open } from '../../../src/index.js'
import type { Key, Store, StoreOptions } from '../../../src/index.js'
import type { Turn } from '../protocol.js'
import { acknowledge, report } from './channel.js'
import { directoryOf } from './disks.js'
import { commitStep, modeOf, spacesOf, stepOf } from './modes.js'
import type { Mode } from './modes.js'

/** A pool as one of the modes uses it. */
export function openFor(mode: Mode, directory: string, more: StoreOptions): Store {
  return open<Key, unknown>(join(directory, `${mode.name}.pool`), { ...mode.options, ...more })
}

/** Runs one turn. */
export async function write(turn: Turn): Promise<void> {
  const done = turn.done ?? 0
  const more: StoreOptions = turn.forceGranularity === undefined ? {} : { forceGranularity: turn.forceGranularity }
  const mode = modeOf(turn.mode)
  const directory = directoryOf(turn.disk)
  let store = openFor(mode, directory, more)
  let spaces = spacesOf(store)
  report({ kind: 'started', writer: turn.writer })
  const end = Date.now() + turn.seconds * 1000
  const underWay = new Set<Promise<void>>()
  let index = done
  const last = done + (turn.steps ?? Infinity)
  while (Date.now() < end && index < last) {
    index++
    const step = stepOf(mode, turn.seed, index)
    if (mode.commit === undefined) {
      commitStep(store, spaces, step)
      acknowledge(turn.writer, index)
    } else {
      const mine = index
      const promise = mode.commit(store, spaces, step).then(() => {
        underWay.delete(promise)
        acknowledge(turn.writer, mine)
      })
      underWay.add(promise)
      if (underWay.size >= (mode.concurrency ?? 1)) await Promise.race(underWay)
    }
    if (index === mode.clone?.after) {
      const path = join(directory, `${mode.name}.pool`)
      if (mode.clone.when === 'open') copyFileSync(path, `${path}.clone`, constants.COPYFILE_FICLONE_FORCE)
      else {
        store.close()
        renameSync(path, `${path}.original`)
        copyFileSync(`${path}.original`, path, constants.COPYFILE_FICLONE_FORCE)
        store = openFor(mode, directory, more)
        spaces = spacesOf(store)
      }
    }
    if (mode.reopenEvery !== undefined && index % mode.reopenEvery === 0) {
      await Promise.all(underWay)
      store.close()
      store = openFor(mode, directory, more)
      spaces = spacesOf(store)
    }
  }
  await Promise.all(underWay)
  // Left open: the next power cut finds this one as a running program would leave it.
  report({ kind: 'finished', writer: turn.writer, steps: index })
}

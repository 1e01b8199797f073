import type { OpenRequest } from '../subjects.js'
import type { OpenedEngine } from './engine.js'

/** Opens or creates a store. May be called again and again; the first call of a process also loads the engine. */
export type EngineOpener = (request: OpenRequest) => OpenedEngine | Promise<OpenedEngine>

/**
 * Loads the code of one engine only, so that no other engine is in the process. Native addons too: some packages load
 * theirs when they are imported, others at the first open, which is not what opening a store costs.
 */
export async function loadEngine(name: OpenRequest['subject']['engine']): Promise<EngineOpener> {
  switch (name) {
    case 'daxkv': {
      const { DaxkvEngine } = await import('./daxkv.js')
      DaxkvEngine.loadAddon()
      return (request) => ({ sync: true, engine: new DaxkvEngine(request) })
    }
    case 'lmdb': {
      const { LmdbEngine } = await import('./lmdb.js')
      return (request) => ({ sync: true, engine: new LmdbEngine(request) })
    }
    case 'sqlite': {
      const { SqliteEngine } = await import('./sqlite.js')
      SqliteEngine.loadAddon()
      return (request) => ({ sync: true, engine: new SqliteEngine(request) })
    }
    case 'level': {
      const { LevelEngine } = await import('./level.js')
      return async (request) => ({ sync: false, engine: await LevelEngine.open(request) })
    }
    case 'json-file': {
      const { JsonFileEngine } = await import('./json-file.js')
      return (request) => ({ sync: true, engine: new JsonFileEngine(request) })
    }
    default:
      throw new Error(`${name} is not measured in a Node.js process`)
  }
}

import { isThenable } from '../api/context.js'
import { DaxkvError } from '../errors.js'
import { callSites } from './call-site.js'
import type { CrashOperation } from './types.js'

/** Calls that may commit, or change what the open transaction will commit. */
const WRITES = [
  'put',
  'delete',
  'deleteRange',
  'clear',
  'batch',
  'putIfAbsent',
  'compareAndSet',
  'update',
  'transaction',
  'dropKeyspace',
  'keyspace',
] as const

/** Writes that join a group: what the pool must hold after each is not known when the call returns. */
const UNEXPLORED = ['putAsync', 'deleteAsync', 'batchAsync', 'updateAsync', 'transactionAsync'] as const

const KEYED = /^(?:put|delete|putIfAbsent|compareAndSet|update)$/
const MOST_KEY_CHARACTERS = 40

type Method = (this: unknown, ...parameters: unknown[]) => unknown

/** Told of the calls on a watched store. */
export interface OperationListener {
  /** A call begins; `outermost` when it stands inside no other. */
  begin(operation: CrashOperation, outermost: boolean): void
  /** It has returned or thrown. A call that returned a promise is not acknowledged by that. */
  end(outermost: boolean, acknowledged: boolean): void
}

/**
 * Puts a note in front of every writing method of a store and of the keyspaces it hands out. The methods are replaced on the
 * objects themselves: they stay the objects that the rest of the library knows.
 */
export class OperationWatcher {
  readonly #listener: OperationListener
  readonly #watched = new WeakSet()
  #depth = 0
  /** Inside a call that is not a transaction: what it calls itself is no operation of the user's. */
  #closed = false

  constructor(listener: OperationListener) {
    this.#listener = listener
  }

  watch(handle: object & { readonly name: string }): void {
    if (this.#watched.has(handle)) return
    this.#watched.add(handle)
    for (const method of WRITES) {
      const original: unknown = Reflect.get(handle, method)
      if (typeof original === 'function') this.#replace(handle, method, original as Method)
    }
    for (const method of UNEXPLORED) {
      if (typeof Reflect.get(handle, method) !== 'function') continue
      const refuse = (): Promise<never> => Promise.reject(refusal(method))
      Object.defineProperty(handle, method, { value: refuse, configurable: true, writable: true })
    }
  }

  #replace(handle: { readonly name: string }, method: string, original: Method): void {
    const watched = (...parameters: unknown[]): unknown => {
      if (this.#closed) return original.apply(handle, parameters)
      const keyed = KEYED.test(method) || method === 'keyspace' || method === 'dropKeyspace'
      const operation: CrashOperation = {
        method,
        keyspace: handle.name,
        key: keyed ? shortened(parameters[0]) : undefined,
        sites: callSites(watched),
      }
      return this.#run(operation, () => original.apply(handle, parameters))
    }
    Object.defineProperty(handle, method, { value: watched, configurable: true, writable: true })
  }

  #run(operation: CrashOperation, action: () => unknown): unknown {
    const outermost = this.#depth === 0
    this.#listener.begin(operation, outermost)
    this.#depth++
    this.#closed = operation.method !== 'transaction'
    let acknowledged = false
    try {
      const result = action()
      acknowledged = !isThenable(result)
      if (operation.method === 'keyspace') this.watch(result as { readonly name: string })
      return result
    } finally {
      this.#depth--
      this.#closed = false
      this.#listener.end(outermost, acknowledged)
    }
  }
}

/** `put accounts "alice"`. */
export function formatOperation({ method, keyspace, key }: CrashOperation): string {
  return [method, keyspace, key].filter((part) => part !== undefined && part !== '').join(' ')
}

function refusal(method: string): DaxkvError {
  return new DaxkvError(
    'INVALID_ARGUMENT',
    `crashTest: ${method} is not explored yet; write ${method.replace('Async', '')} in the workload`,
  )
}

function shortened(key: unknown): string | undefined {
  const text =
    key instanceof Uint8Array ? `0x${Buffer.from(key).toString('hex')}` : (JSON.stringify(key) as string | undefined)
  return text === undefined || text.length <= MOST_KEY_CHARACTERS ? text : `${text.slice(0, MOST_KEY_CHARACTERS - 1)}…`
}

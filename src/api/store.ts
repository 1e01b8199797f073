import type { Persistence } from '../pmem/persistent-memory.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { checkFunction } from './arguments.js'
import { checkPool } from './check.js'
import { STATE_BUSY, STATE_CLOSED, type StoreContext } from './context.js'
import { KeyspaceHandle } from './keyspace.js'
import type { Keyspace } from './keyspace-interface.js'
import type { KeyspaceParts, Keyspaces } from './keyspaces.js'
import type { KeyspaceOptions } from './options.js'
import type { StoreStats } from './stats.js'
import type { Store } from './store-interface.js'
import type { AnyKey, CheckReport, KeyEncoding, KeyOf, KeyspaceInfo, ValueEncoding, ValueOf } from './types.js'

/** An open pool, which is its own default keyspace. */
export class StoreHandle extends KeyspaceHandle<AnyKey, unknown> implements Store<AnyKey> {
  constructor(
    context: StoreContext,
    private readonly named: Keyspaces,
    parts: KeyspaceParts,
  ) {
    super(context, '', parts.tree, parts.keyCodec, parts.valueCodec)
    named.adopt(this)
  }

  get path(): string {
    return this.context.engine.path
  }

  get readOnly(): boolean {
    return this.context.engine.readOnly
  }

  get closed(): boolean {
    return (this.context.state & STATE_CLOSED) !== 0
  }

  get persistence(): Persistence {
    return this.context.engine.persistence
  }

  keyspace<KE extends KeyEncoding = KeyEncoding, VE extends ValueEncoding = ValueEncoding>(
    name: string,
    options?: KeyspaceOptions<KE, VE>,
  ): Keyspace<KeyOf<KE>, ValueOf<VE>>
  keyspace<K2 extends AnyKey, V2>(name: string, options?: KeyspaceOptions): Keyspace<K2, V2>
  keyspace(name: string, options?: KeyspaceOptions): unknown {
    this.refuseUnreadable()
    return this.named.open(name, options)
  }

  keyspaces(): KeyspaceInfo[] {
    this.refuseUnreadable()
    return this.named.list()
  }

  dropKeyspace(name: string): boolean {
    return this.named.drop(name)
  }

  transaction<T>(action: () => T): T {
    const { context } = this
    if (context.state !== 0) throw context.writeRefusal()
    checkFunction('transaction', 'action', action)
    return context.run(action, 'transaction')
  }

  stats(): StoreStats {
    this.refuseUnreadable()
    const stats = this.context.engine.stats()
    const keyspaces = this.named.list().length
    return { ...stats, capacityBytes: stats.capacityPages * PAGE_BYTES, keyspaces }
  }

  check(): CheckReport {
    const { context } = this
    this.refuseUnreadable()
    if (context.engine.depth !== 0) throw context.busy('be checked inside a transaction')
    return context.guarded(checkPool, context.engine)
  }

  close(): void {
    const { context } = this
    if (this.closed) return
    if (context.engine.depth !== 0) throw context.busy('be closed inside a transaction')
    if ((context.state & STATE_BUSY) !== 0) throw context.busy('be closed inside withView or scan')
    context.state |= STATE_CLOSED
    context.engine.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

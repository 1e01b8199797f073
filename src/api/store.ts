import type { Persistence } from '../pmem/persistent-memory.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { checkFunction } from './arguments.js'
import { runAsyncTransaction } from './async-transaction.js'
import type { AsyncTransaction, AsyncTransactionOptions } from './async-transaction-interface.js'
import { checkPool } from './check.js'
import { STATE_BUSY, STATE_CLOSED, type StoreContext } from './context.js'
import { KeyspaceHandle } from './keyspace.js'
import type { Keyspace } from './keyspace-interface.js'
import type { KeyspaceParts, Keyspaces } from './keyspaces.js'
import type { KeyspaceOptions, WriteOptions } from './options.js'
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

  transaction<T>(action: () => T, options?: WriteOptions): T {
    const { context } = this
    if (context.state !== 0) throw context.writeRefusal()
    checkFunction('transaction', 'action', action)
    const durability = options === undefined ? undefined : context.durabilityOf(options, 'transaction')
    return context.run(action, 'transaction', durability)
  }

  transactionAsync<T>(
    action: (tx: AsyncTransaction<AnyKey, unknown>) => Promise<T> | T,
    options?: AsyncTransactionOptions,
  ): Promise<T> {
    return runAsyncTransaction(this, action, options)
  }

  async flush(): Promise<void> {
    this.refuseUnreadable()
    const { context } = this
    if (context.engine.depth !== 0) throw context.busy('be flushed inside a transaction')
    await context.engine.flush()
  }

  flushSync(): void {
    this.refuseUnreadable()
    const { context } = this
    if (context.engine.depth !== 0) throw context.busy('be flushed inside a transaction')
    context.engine.flushNow()
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
    // What is walked are the pages in their place.
    if (!this.readOnly) context.engine.flushNow()
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

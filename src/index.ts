/**
 * daxkv: an embedded, transactional, ordered key-value store whose pool is one memory-mapped file. This module is the
 * whole public interface; `docs/` explains it.
 */
export type {
  AsyncTransaction,
  AsyncTransactionOptions,
  TransactionKeyspace,
} from './api/async-transaction-interface.js'
export { open } from './api/open.js'
export type { Keyspace } from './api/keyspace-interface.js'
export type { KeyBounds, KeyspaceOptions, RangeOptions, StoreOptions, WriteOptions } from './api/options.js'
export type { StoreStats } from './api/stats.js'
export type { Store } from './api/store-interface.js'
export type {
  AnyKey,
  BatchOperation,
  CheckProblem,
  CheckReport,
  Key,
  KeyEncoding,
  KeyOf,
  KeyspaceInfo,
  ScanRow,
  ValueEncoding,
  ValueOf,
} from './api/types.js'
export { DaxkvError, type DaxkvErrorCode, type DaxkvErrorDetails } from './errors.js'
export type { Granularity, PersistCounters, Persistence } from './pmem/persistent-memory.js'
export type { Durability } from './tx/engine.js'
export { probePath, type ProbeReport } from './pmem/probe.js'

import type { Keyspace, Store } from 'daxkv'

/** Every row says in which transactions it was written, so that it can be held against their manifests. */
export interface Row {
  readonly tx: number[]
}

/** One version of a package; found several times when it is installed several times. */
export interface PackageRow extends Row {
  readonly description: string
  readonly license: string
  readonly dependencies: string[]
  readonly files: string[]
}

export interface DependentRow extends Row {
  /** The range of versions asked for. */
  readonly range: string
}

export type PackageKey = [name: string, version: string]
export type DependentKey = [dependency: string, name: string, version: string]
export type LicenseKey = [license: string, name: string, version: string]

export type WrittenKey = PackageKey | DependentKey | LicenseKey

/** Everything a transaction wrote, written in the same transaction. */
export interface Manifest {
  /** The package.json it indexed. */
  readonly file: string
  readonly wrote: readonly (readonly [keyspace: IndexName, key: WrittenKey])[]
}

export const INDEX_NAMES = ['packages', 'dependents', 'licenses'] as const
export type IndexName = (typeof INDEX_NAMES)[number]

export interface PackageIndex {
  readonly packages: Keyspace<PackageKey, PackageRow>
  readonly dependents: Keyspace<DependentKey, DependentRow>
  readonly licenses: Keyspace<LicenseKey, Row>
  /** By the number of the transaction. */
  readonly manifests: Keyspace<number, Manifest>
}

export function openIndex(store: Store): PackageIndex {
  return {
    packages: store.keyspace<PackageKey, PackageRow>('packages'),
    dependents: store.keyspace<DependentKey, DependentRow>('dependents'),
    licenses: store.keyspace<LicenseKey, Row>('licenses'),
    manifests: store.keyspace<number, Manifest>('manifests', { keyEncoding: 'uint32' }),
  }
}

import { keyCodec } from '../codec/key-codecs.js'
import { KEY_ENCODINGS, type KeyCodec } from '../codec/key-codec.js'
import { createValueCodec } from '../codec/value-codecs.js'
import { type StructureHooks, VALUE_ENCODINGS, type ValueCodec } from '../codec/value-codec.js'
import { DaxkvError } from '../errors.js'
import { checkOptions } from '../options.js'
import { checkKeyspaceName, type KeyspaceRecord } from '../tree/catalog.js'
import { Tree } from '../tree/tree.js'
import { STATE_DROPPED, type StoreContext } from './context.js'
import { keyEncodingId, keyEncodingOf, valueEncodingId, valueEncodingOf } from './encoding-ids.js'
import { KeyspaceHandle } from './keyspace.js'
import type { AnyKey, KeyEncoding, KeyspaceInfo, ValueEncoding } from './types.js'

export type AnyKeyspace = KeyspaceHandle<AnyKey, unknown>

/** Encodings the caller asked for; undefined means "as recorded". */
export interface WantedEncodings {
  readonly keyEncoding: KeyEncoding | undefined
  readonly valueEncoding: ValueEncoding | undefined
}

/** Everything a handle is made of. */
export interface KeyspaceParts {
  readonly tree: Tree
  readonly keyCodec: KeyCodec<AnyKey>
  readonly valueCodec: ValueCodec<unknown>
}

/** The keyspaces of an open store: one handle for each that is in use, made from and recorded in the catalog. */
export class Keyspaces {
  private readonly handles = new Map<string, AnyKeyspace>()

  constructor(private readonly context: StoreContext) {}

  /** Makes the store itself known as the keyspace of the empty name. */
  adopt(store: AnyKeyspace): void {
    this.handles.set(store.name, store)
  }

  open(name: unknown, options: unknown): AnyKeyspace {
    checkKeyspaceName(name)
    const wanted = checkEncodings(options)
    const known = this.handles.get(name)
    if (known !== undefined) {
      checkMatch(name, wanted, known)
      return known
    }
    const parts = this.parts(name, wanted)
    const handle = new KeyspaceHandle(this.context, name, parts.tree, parts.keyCodec, parts.valueCodec)
    this.handles.set(name, handle)
    this.watch(handle)
    return handle
  }

  /** Finds the keyspace in the catalog, or creates it there. */
  parts(name: string, wanted: WantedEncodings): KeyspaceParts {
    const { context } = this
    const record = this.find(name)
    if (record !== undefined) {
      const keyEncoding = keyEncodingOf(record.keyEncoding, name)
      const valueEncoding = valueEncodingOf(record.valueEncoding, name)
      checkMatch(name, wanted, { keyEncoding, valueEncoding })
      return this.assemble(record, keyEncoding, valueEncoding)
    }
    if (context.engine.readOnly) {
      const which = name === '' ? 'the default keyspace' : `the keyspace ${JSON.stringify(name)}`
      throw new DaxkvError(
        'READ_ONLY',
        `${context.engine.path}: ${which} does not exist yet, and a read-only store cannot create it; open it for writing once`,
        { path: context.engine.path },
      )
    }
    if (context.state !== 0) throw context.writeRefusal()
    const { keyEncoding = 'ordered', valueEncoding = 'msgpack' } = wanted
    return context.run(() => {
      const id = context.engine.nextKeyspaceId()
      const created: KeyspaceRecord = {
        id,
        rootPage: Tree.create(context.engine, id),
        keyEncoding: keyEncodingId(keyEncoding),
        valueEncoding: valueEncodingId(valueEncoding),
      }
      context.catalog.put(name, created)
      return this.assemble(created, keyEncoding, valueEncoding)
    }, 'keyspace')
  }

  drop(name: unknown): boolean {
    const { context } = this
    if (context.state !== 0) throw context.writeRefusal()
    checkKeyspaceName(name)
    if (name === '') {
      throw new DaxkvError('INVALID_ARGUMENT', 'the default keyspace cannot be dropped; clear() empties it')
    }
    const record = this.find(name)
    if (record === undefined) return false
    const handle = this.handles.get(name)
    context.run(() => {
      const tree = handle?.tree ?? new Tree(context.engine, record.rootPage, record.id)
      tree.destroy()
      context.catalog.remove(name, record.id)
      context.engine.checkFault()
      if (handle === undefined) return
      this.close(handle)
      context.onAbort(() => {
        handle.state &= ~STATE_DROPPED
        context.trees.add(handle.tree)
        this.handles.set(name, handle)
      })
    }, 'dropKeyspace')
    return true
  }

  list(): KeyspaceInfo[] {
    const { context } = this
    try {
      return context.catalog.list().map(({ name, record }) => ({
        name,
        keyEncoding: keyEncodingOf(record.keyEncoding, name),
        valueEncoding: valueEncodingOf(record.valueEncoding, name),
        entries: new Tree(context.engine, record.rootPage, record.id).entryCount,
      }))
    } catch (error) {
      throw context.readError(error)
    } finally {
      context.engine.checkFault()
    }
  }

  private find(name: string): KeyspaceRecord | undefined {
    let record: KeyspaceRecord | undefined
    try {
      record = this.context.catalog.find(name)
    } catch (error) {
      throw this.context.readError(error)
    }
    this.context.engine.checkFault()
    return record
  }

  private assemble(record: KeyspaceRecord, keyEncoding: KeyEncoding, valueEncoding: ValueEncoding): KeyspaceParts {
    const tree = new Tree(this.context.engine, record.rootPage, record.id)
    this.context.trees.add(tree)
    return {
      tree,
      keyCodec: keyCodec(keyEncoding),
      valueCodec: this.createValueCodec(record.id, valueEncoding),
    }
  }

  /** A codec that keeps its structures in the catalog, as part of whatever transaction is open. */
  private createValueCodec(id: number, encoding: ValueEncoding): ValueCodec<unknown> {
    const { context } = this
    const loadStructures = (): Uint8Array | undefined =>
      // Of the tip, even for a plain read: a list that lacks what is staged would give its numbers away twice.
      context.engine.atTip(() => context.catalog.loadStructures(id))
    const saveStructures = (bytes: Uint8Array): void => {
      try {
        context.catalog.saveStructures(id, bytes)
      } catch (error) {
        // The catalog may be half changed: no part of this transaction can be kept.
        context.setDoom(error)
        throw error
      }
      context.noteSavedStructures(codec)
    }
    const hooks: StructureHooks = context.engine.readOnly ? { loadStructures } : { loadStructures, saveStructures }
    const codec: ValueCodec<unknown> = createValueCodec(encoding, hooks)
    return codec
  }

  private close(handle: AnyKeyspace): void {
    handle.state |= STATE_DROPPED
    this.context.trees.delete(handle.tree)
    this.handles.delete(handle.name)
  }

  /** A handle made inside a transaction survives its abort only if its keyspace had been there before (by the same id). */
  private watch(handle: AnyKeyspace): void {
    const { context } = this
    if (context.engine.depth === 0) return
    context.onAbort(() => {
      if (this.find(handle.name)?.id === handle.tree.keyspaceId) this.watch(handle)
      else this.close(handle)
    })
  }
}

const ENCODING_OPTIONS = ['keyEncoding', 'valueEncoding'] as const

function checkEncodings(options: unknown): WantedEncodings {
  const checked = checkOptions(options, ENCODING_OPTIONS, 'keyspace')
  return {
    keyEncoding: checked.oneOf('keyEncoding', KEY_ENCODINGS, undefined),
    valueEncoding: checked.oneOf('valueEncoding', VALUE_ENCODINGS, undefined),
  }
}

function checkMatch(
  name: string,
  wanted: WantedEncodings,
  actual: { readonly keyEncoding: KeyEncoding; readonly valueEncoding: ValueEncoding },
): void {
  const mismatch =
    wanted.keyEncoding !== undefined && wanted.keyEncoding !== actual.keyEncoding
      ? `key encoding '${actual.keyEncoding}', not '${wanted.keyEncoding}'`
      : wanted.valueEncoding !== undefined && wanted.valueEncoding !== actual.valueEncoding
        ? `value encoding '${actual.valueEncoding}', not '${wanted.valueEncoding}'`
        : undefined
  if (mismatch === undefined) return
  const which = name === '' ? 'the default keyspace' : `keyspace '${name}'`
  throw new DaxkvError(
    'ENCODING_MISMATCH',
    `${which} was created with ${mismatch}; omit the option to take what is recorded`,
  )
}

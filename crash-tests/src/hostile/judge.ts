/** Opens a hostile pool, checks, reads and writes it, and judges what comes back. */
import type { StoreHandle } from '../../../src/api/store.js'
import { DaxkvError, type DaxkvErrorCode } from '../../../src/errors.js'
import { Catalog } from '../../../src/tree/catalog.js'
import { Cursor } from '../../../src/tree/cursor.js'
import { Tree } from '../../../src/tree/tree.js'
import type { Engine } from '../../../src/tx/engine.js'
import { ContentDigest, ContentError, readContent } from '../content.js'
import type { Random } from '../random.js'
import { type Content, printed } from './content-of.js'
import { beginCall } from './visit-limit.js'

/** What opening may say about a damaged file. */
const REFUSALS: readonly DaxkvErrorCode[] = [
  'NOT_A_POOL',
  'UNSUPPORTED_FORMAT',
  'CORRUPT',
  'TRUNCATED',
  'NO_SPACE',
  'MEDIA_ERROR',
  'NEEDS_RECOVERY',
  'READ_ONLY',
]
/** What a call on an open store may say. */
/** Of `keyspace`, where a damaged catalog lists what it does not find: a read-only store cannot make it. */
const KEYSPACE_ERRORS: readonly DaxkvErrorCode[] = ['READ_ONLY']
const CALL_ERRORS: readonly DaxkvErrorCode[] = ['CORRUPT', 'UNSUPPORTED_FORMAT', 'NO_SPACE', 'MEDIA_ERROR', 'POISONED']

/** A rule that was broken. */
export class Violation extends Error {}

/** What may be claimed about the content of an image. */
export interface Claim {
  /** The contents one of which is there, or undefined where the damage is such that nobody can know. */
  readonly contents: readonly Content[] | undefined
  /** Whether sound checksums were forged: then a clean check proves only that the store and an independent reader agree. */
  readonly forged: boolean
  readonly verifyReads: boolean
}

export interface Subject {
  open(): StoreHandle
  readonly engineOf: (store: StoreHandle) => Engine
  /** Whether the engine's memory can be read by the independent reader. */
  readonly independent: boolean
}

/** How an image ended, for the summary. */
export type Verdict = 'refused' | 'damage found' | 'nothing found'

/**
 * Judges one image.
 * @throws Violation, or what the library threw, when a rule is broken.
 */
export function judge(subject: Subject, claim: Claim, random: Random): Verdict {
  beginCall(2048, 2048)
  const opened = attempt('open', REFUSALS, () => subject.open())
  if (opened === REFUSED) return 'refused'
  const store = opened
  let ok = false
  try {
    const { space } = subject.engineOf(store)
    const call = <T>(what: string, action: () => T): T | typeof REFUSED => {
      beginCall(space.capacityPages, 4096)
      return attempt(what, what === 'keyspace' && !ok ? [...CALL_ERRORS, ...KEYSPACE_ERRORS] : CALL_ERRORS, action)
    }
    const report = call('check', () => store.check())
    ok = report !== REFUSED && report.ok
    if (ok && claim.forged && subject.independent) compareReaders(subject.engineOf(store))
    const exact = claim.contents !== undefined && !claim.forged && (ok || claim.verifyReads)
    new Reader(store, call, exact ? claim.contents : undefined, ok).readAll(random)
    if (store.readOnly) call('put', () => shouldRefuse(() => store.put('a', 1)))
    else write(store, call, random)
    if (ok) call('check after writing', () => store.check())
  } finally {
    const closed = attempt('close', CALL_ERRORS, () => store.close())
    if (closed === REFUSED && ok) throw new Violation('a pool whose check was clean could not be closed')
  }
  return ok ? 'nothing found' : 'damage found'
}

/** A store opened for reading only must not be written to, whatever the file holds. */
function shouldRefuse(action: () => void): void {
  try {
    action()
  } catch (error) {
    if (error instanceof DaxkvError && error.code === 'READ_ONLY') return
    throw error
  }
  throw new Violation('a write to a read-only store was not refused')
}

const REFUSED = Symbol('refused')

type Call = <T>(what: string, action: () => T) => T | typeof REFUSED

/** Runs an action that may be refused with one of some codes; whatever else it throws breaks a rule. */
function attempt<T>(what: string, codes: readonly DaxkvErrorCode[], action: () => T): T | typeof REFUSED {
  try {
    return action()
  } catch (error) {
    if (error instanceof DaxkvError && codes.includes(error.code)) return REFUSED
    if (error instanceof Violation) throw error
    const text = error instanceof DaxkvError ? `${error.code}: ${error.stack ?? error.message}` : stackOf(error)
    throw new Violation(`${what} threw ${text}`, { cause: error })
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** The store's trees and the laboratory's own reader must find the same in a pool whose check is clean. */
function compareReaders(engine: Engine): void {
  beginCall(engine.space.capacityPages, 4096)
  const digest = new ContentDigest()
  for (const { name, record } of new Catalog(engine, engine.catalogPage()).list()) {
    digest.toggleKeyspace(name)
    const cursor = new Cursor(new Tree(engine, record.rootPage, record.id))
    cursor.seek({})
    while (cursor.next()) {
      const { valueView, valueStart, valueLength } = cursor
      const key = cursor.key.subarray(0, cursor.keyLength)
      digest.toggleEntry(name, key, valueView.u8.subarray(valueStart, valueStart + valueLength))
    }
  }
  let expected: string
  try {
    expected = readContent(engine.memory, engine.geometry).digest
  } catch (error) {
    if (error instanceof ContentError)
      throw new Violation(`check is clean, but the independent reader found: ${error.message}`)
    throw error
  }
  if (digest.toString() !== expected) throw new Violation('the store and the independent reader find different entries')
}

/** Reads through the public face and holds the answers against what may be there. */
class Reader {
  constructor(
    private readonly store: StoreHandle,
    private readonly call: Call,
    /** Contents one of which must be there; undefined where nothing is claimed. */
    private readonly contents: readonly Content[] | undefined,
    /** Whether check was clean, so that every read must succeed. */
    private readonly sound: boolean,
  ) {}

  readAll(random: Random): void {
    const { store, call } = this
    const listed = call('keyspaces', () => store.keyspaces())
    if (listed === REFUSED) return
    let possible = this.contents
    for (const { name } of listed) {
      const opened = call('keyspace', () => (name === '' ? store : store.keyspace(name)))
      if (opened === REFUSED) continue
      const keyspace = opened as unknown as StoreHandle
      const reverse = random.below(2) === 0
      // Rows one by one: what came before an error must be right, too.
      const rows = new Map<string, string>()
      const complete = call('range', () => {
        for (const [key, value] of keyspace.range({ reverse })) {
          if (possible !== undefined) rows.set(printed(key), printed(value))
        }
        return true
      })
      this.readOtherwise(keyspace, random)
      if (possible === undefined) continue
      possible = possible.filter((content) => agrees(content.get(name), rows, complete === true))
      if (possible.length === 0) throw new Violation(this.disagreement(name, rows, complete === true))
      if (this.sound && complete !== true) throw new Violation(`check is clean, but ${name} cannot be read`)
    }
    if (possible !== undefined && !possible.some((content) => content.size === listed.length)) {
      throw new Violation(`there are ${listed.length} keyspaces`)
    }
  }

  /** One of the other ways to read. */
  private readOtherwise(
    keyspace: Pick<StoreHandle, 'count' | 'keys' | 'last' | 'has' | 'get' | 'forEach'>,
    random: Random,
  ): void {
    const { call } = this
    switch (random.below(4)) {
      case 0:
        call('count', () => keyspace.count(random.below(2) === 0 ? {} : { offset: 1 }))
        break
      case 1:
        call('last', () => keyspace.last())
        break
      case 2:
        call('forEach', () => {
          keyspace.forEach({ offset: random.below(10) }, () => true)
        })
        break
      default:
        call('keys', () => {
          for (const key of keyspace.keys({ offset: random.below(100), limit: 8 })) {
            call('has', () => keyspace.has(key))
            call('get', () => keyspace.get(key))
          }
        })
    }
  }

  private disagreement(name: string, rows: ReadonlyMap<string, string>, complete: boolean): string {
    const wanted = this.contents?.[0].get(name)
    const wrong = [...rows].filter(([key, value]) => wanted?.get(key) !== value)
    const [first] = wrong
    const example = wrong.length === 0 ? '' : `, such as ${first[0].slice(0, 40)} -> ${first[1].slice(0, 40)}`
    return `keyspace '${name}': ${rows.size} rows${complete ? '' : ' before an error'} instead of ${wanted?.size}, ${wrong.length} wrong${example}`
  }
}

function agrees(
  wanted: ReadonlyMap<string, string> | undefined,
  rows: ReadonlyMap<string, string>,
  complete: boolean,
): boolean {
  if (wanted === undefined || (complete && rows.size !== wanted.size)) return false
  for (const [key, value] of rows) if (wanted.get(key) !== value) return false
  return true
}

/** Some writes of every kind, wherever they lead. */
function write(store: StoreHandle, call: Call, random: Random): void {
  const listed = call('keyspaces', () => store.keyspaces())
  if (listed === REFUSED) return
  for (let step = 4; step > 0; step--) {
    const info = listed.length === 0 ? undefined : listed[random.below(listed.length)]
    if (info === undefined) return
    const keyspace = call('keyspace', () => (info.name === '' ? store : store.keyspace<never, unknown>(info.name)))
    if (keyspace === REFUSED) continue
    const target = keyspace as unknown as StoreHandle
    const key = (): string => keyOf(target.keyEncoding, random) as string
    const value = (): unknown => valueOf(target.valueEncoding, random)
    switch (random.below(8)) {
      case 0:
        call('delete', () => {
          const first = random.below(2) === 0 ? target.first() : target.last()
          if (first !== undefined) target.delete(first[0])
        })
        break
      case 1:
        call('deleteRange', () => target.deleteRange(random.below(2) === 0 ? { gte: key() } : { lt: key() }))
        break
      case 2:
        call('clear', () => target.clear())
        break
      case 3:
        call('dropKeyspace', () => info.name !== '' && random.below(2) === 0 && store.dropKeyspace(info.name))
        break
      case 4:
        call('transaction', () => {
          store.transaction(() => {
            for (let i = 0; i < 10; i++) target.put(key(), value())
            call('nested transaction', () => store.transaction(() => target.delete(key())))
          })
        })
        break
      case 5:
        call('new keyspace', () => store.keyspace(`new ${random.below(3)}`).put('a', value()))
        break
      default:
        call('put', () => target.put(key(), value()))
    }
  }
}

function keyOf(encoding: string, random: Random): unknown {
  if (encoding === 'uint32') return random.word()
  if (encoding === 'binary') return Buffer.alloc(1 + random.below(60), random.below(256))
  return random.below(3) === 0
    ? `${random.below(6)}${'deep '.repeat(190)}${random.below(200)}`
    : `key ${random.below(500)}`
}

function valueOf(encoding: string, random: Random): unknown {
  const length = random.below(6) === 0 ? 3000 + random.below(12_000) : random.below(300)
  if (encoding === 'binary') return Buffer.alloc(length, 7)
  return encoding === 'string' ? 'v'.repeat(length) : { name: 'new', text: 'v'.repeat(length), tags: [length] }
}

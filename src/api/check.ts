/**
 * The full walk over an open pool: identity, anchor, root page, bitmaps, catalog, every tree, the checksum of every page that has
 * one, and the books: each page is reachable exactly once and marked allocated, or neither.
 */
import { DaxkvError } from '../errors.js'
import { PAGE_BYTES } from '../pmem/program.js'
import {
  HEADER_OFFSET_PAGE_ID,
  HEADER_OFFSET_TYPE,
  IDENTITY_BYTES,
  PAGE_ANCHOR_A,
  PAGE_IDENTITY_A,
  PAGE_IDENTITY_B,
  PAGE_ROOT,
  PAGE_TYPE_BITMAP,
  PAGE_TYPE_ROOT,
  ROOT_OFFSET_CAPACITY_PAGES,
  ROOT_OFFSET_NEXT_KEYSPACE_ID,
} from '../pool/format.js'
import { decodeIdentity } from '../pool/identity.js'
import { Catalog, CATALOG_TREE_ID } from '../tree/catalog.js'
import { checkTree } from '../tree/check.js'
import { branchChild, checkNode, checkRoot, nodeCount, WORD_KEYSPACE } from '../tree/node.js'
import type { Engine } from '../tx/engine.js'
import { readAnchors } from '../tx/recovery.js'
import { keyEncodingOf, valueEncodingOf } from './encoding-ids.js'
import type { CheckProblem, CheckReport, KeyspaceInfo } from './types.js'

/** A hopeless pool is not worth more lines than this. */
const MAX_PROBLEMS = 1000

/** Errors that say something about the pool; others are thrown on. */
const DAMAGE: readonly string[] = ['CORRUPT', 'MEDIA_ERROR', 'UNSUPPORTED_FORMAT', 'NOT_A_POOL']

// What a page was found to be.
const UNSEEN = 0
const RESERVED = 1
const REACHED = 2

export function checkPool(engine: Engine): CheckReport {
  return new PoolChecker(engine).run()
}

class PoolChecker {
  private readonly problems: CheckProblem[] = []
  private readonly keyspaces: KeyspaceInfo[] = []
  private readonly capacity: number
  /** By page: what it was found to be. */
  private readonly use: Uint8Array
  private extentPages = 0
  private treePages = 0

  constructor(private readonly engine: Engine) {
    this.capacity = engine.space.capacityPages
    this.use = new Uint8Array(this.capacity)
  }

  run(): CheckReport {
    this.engine.showDurable()
    this.checkFixedPages()
    const reserved = this.checkBitmaps()
    this.checkCatalog()
    let free = 0
    this.guard(undefined, undefined, () => {
      free = this.checkBooks()
    })
    const { problems, keyspaces, capacity } = this
    return {
      ok: problems.length === 0,
      problems,
      keyspaces,
      pages: { capacity, reserved, tree: this.treePages, extent: this.extentPages, free },
    }
  }

  private report(message: string, pageId: number | undefined, keyspace?: string): void {
    if (this.problems.length >= MAX_PROBLEMS) return
    this.problems.push({
      message,
      ...(keyspace === undefined ? {} : { keyspace }),
      ...(pageId === undefined ? {} : { pageId, offset: pageId * PAGE_BYTES }),
    })
  }

  /** Turns what the library throws for damage into problems of the list. */
  private guard(pageId: number | undefined, keyspace: string | undefined, check: () => void): void {
    this.attempt(pageId, keyspace, check)
    // One walk may meet many pages that cannot be read; each left waiting would fail a later, innocent operation.
    while (this.engine.memory.faultWords[0] !== 0) this.attempt(undefined, keyspace, () => this.engine.checkFault())
  }

  private attempt(pageId: number | undefined, keyspace: string | undefined, check: () => void): void {
    try {
      check()
    } catch (error) {
      if (!(error instanceof DaxkvError) || !DAMAGE.includes(error.code)) throw error
      const where = error.offset === undefined ? undefined : Math.floor(error.offset / PAGE_BYTES)
      this.report(error.message, pageId ?? where, keyspace)
    }
  }

  private checkFixedPages(): void {
    const { engine } = this
    const { space, memory } = engine
    for (const page of [PAGE_IDENTITY_A, PAGE_IDENTITY_B]) {
      this.guard(page, undefined, () => {
        space.locateCommitted(page)
        const copy = Buffer.from(space.view.u8.subarray(space.base, space.base + IDENTITY_BYTES))
        const { uuid } = decodeIdentity(copy, engine.path)
        if (uuid !== engine.uuid) this.report(`the identity names another pool: ${uuid}`, page)
      })
    }
    this.guard(PAGE_ANCHOR_A, undefined, () => {
      if (readAnchors(memory).every((anchor) => anchor === undefined)) {
        this.report('no anchor copy is valid', PAGE_ANCHOR_A)
      }
    })
    this.guard(PAGE_ROOT, undefined, () => {
      this.checkHeader(PAGE_ROOT, PAGE_TYPE_ROOT, 'root')
      space.locateCommitted(PAGE_ROOT)
      const recorded = space.view.u32[(space.base + ROOT_OFFSET_CAPACITY_PAGES) >>> 2]
      if (recorded !== this.capacity) {
        this.report(`the root page records a capacity of ${recorded} pages, ${this.capacity} are in use`, PAGE_ROOT)
      }
    })
  }

  /** Marks the reserved pages and returns how many there are. */
  private checkBitmaps(): number {
    const { geometry } = this.engine
    let reserved = 0
    for (let segment = 0; segment * geometry.segmentPages < this.capacity; segment++) {
      const first = segment * geometry.segmentPages
      const end = Math.min(first + geometry.reservedPages(segment), this.capacity)
      this.use.fill(RESERVED, first, end)
      reserved += end - first
    }
    for (let index = 0; index < geometry.bitmapCount(this.capacity); index++) {
      const page = geometry.bitmapPage(index)
      this.guard(page, undefined, () => {
        this.checkHeader(page, PAGE_TYPE_BITMAP, 'bitmap')
        if (this.engine.allocator.hasStrayBits(index)) this.report('the bitmap marks pages that do not exist', page)
      })
    }
    return reserved
  }

  private checkHeader(page: number, type: number, name: string): void {
    const { space, memory } = this.engine
    if (!memory.verifyPage(page)) this.report(`the ${name} page fails its checksum`, page)
    space.locateCommitted(page)
    const { view, base } = space
    if (view.u8[base + HEADER_OFFSET_TYPE] !== type || view.u32[(base + HEADER_OFFSET_PAGE_ID) >>> 2] !== page) {
      this.report(`the page is not the ${name} page it should be`, page)
    }
  }

  private checkCatalog(): void {
    const { engine } = this
    const catalogPage = engine.catalogPage()
    this.checkOneTree(catalogPage, 'the catalog')
    this.guard(catalogPage, 'the catalog', () => {
      const { space } = engine
      space.locate(catalogPage)
      const owner = space.view.u32[(space.base >>> 2) + WORD_KEYSPACE]
      if (owner !== CATALOG_TREE_ID) this.report(`the root of the catalog belongs to keyspace id ${owner}`, catalogPage)
      space.locateCommitted(PAGE_ROOT)
      const nextId = space.view.u32[(space.base + ROOT_OFFSET_NEXT_KEYSPACE_ID) >>> 2]
      const ids = new Set<number>()
      const catalog = new Catalog(engine, catalogPage)
      for (const { name, record } of catalog.list()) {
        const { id, rootPage } = record
        if (ids.has(id)) this.report(`keyspace id ${id} is used twice`, undefined, name)
        if (id === 0 || id >= nextId)
          this.report(`keyspace id ${id} was never given out (next: ${nextId})`, undefined, name)
        ids.add(id)
        const entries = this.checkOneTree(rootPage, name)
        this.guard(rootPage, name, () => {
          space.locate(rootPage)
          const owner = space.view.u32[(space.base >>> 2) + WORD_KEYSPACE]
          if (owner !== id)
            this.report(`the root belongs to keyspace id ${owner}, the catalog says ${id}`, rootPage, name)
          const keyEncoding = keyEncodingOf(record.keyEncoding, name)
          this.keyspaces.push({
            name,
            keyEncoding,
            valueEncoding: valueEncodingOf(record.valueEncoding, name),
            entries,
          })
        })
      }
      for (const id of catalog.structureOwners()) {
        if (!ids.has(id))
          this.report(`the catalog keeps structures of keyspace id ${id}, which does not exist`, catalogPage)
      }
    })
  }

  /** Checks a tree and enters its pages in the books; returns its number of entries. */
  private checkOneTree(rootPage: number, keyspace: string): number {
    let entries = 0
    this.guard(rootPage, keyspace, () => this.checkNodeChecksums(rootPage, keyspace))
    this.guard(rootPage, keyspace, () => {
      const report = checkTree(this.engine, rootPage, (pageId, pages) => this.enter(pageId, pages, keyspace))
      entries = report.entries
      this.treePages += report.nodePages
      this.extentPages += report.extentPages
      for (const { message, pageId } of report.problems) this.report(message, pageId, keyspace)
    })
    return entries
  }

  /** Extents have no page checksums (`checkTree` verifies their hash), so only nodes are visited here. */
  private checkNodeChecksums(rootPage: number, keyspace: string): void {
    const { space, memory } = this.engine
    const seen = new Set<number>()
    const waiting: { page: number; level: number }[] = []
    space.locate(rootPage)
    waiting.push({ page: rootPage, level: checkRoot(space.view, space.base, rootPage) })
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { page, level } = next
      if (seen.has(page)) continue
      seen.add(page)
      this.guard(page, keyspace, () => {
        space.locate(page)
        if (!memory.verifyPage(page)) this.report('the page fails its checksum', page, keyspace)
        const { view, base } = space
        checkNode(view, base, page, level)
        if (level === 0) return
        for (let i = nodeCount(view, base); i >= 0; i--)
          waiting.push({ page: branchChild(view, base, i), level: level - 1 })
      })
    }
  }

  private enter(pageId: number, pages: number, keyspace: string): void {
    for (let page = pageId; page < pageId + pages; page++) {
      if (page >= this.capacity) {
        this.report(`page ${page} lies outside the pool of ${this.capacity} pages`, page, keyspace)
        return
      }
      if (this.use[page] === RESERVED) this.report('a reserved page is used by a tree', page, keyspace)
      else if (this.use[page] !== UNSEEN) this.report('the page is used twice', page, keyspace)
      this.use[page] = REACHED
    }
  }

  /** Holds the bitmaps against what was reached; returns the number of free pages. */
  private checkBooks(): number {
    let free = 0
    let wrong = ''
    let wrongFrom = 0
    for (let page = 0; page <= this.capacity; page++) {
      let now = ''
      if (page < this.capacity) {
        const allocated = this.engine.allocator.isAllocated(page)
        if (!allocated) free++
        if (allocated && this.use[page] === UNSEEN) now = 'allocated but belong to nothing'
        if (!allocated && this.use[page] !== UNSEEN) now = 'in use but marked free'
      }
      if (now === wrong) continue
      if (wrong !== '') this.report(`pages ${wrongFrom}..${page - 1} are ${wrong}`, wrongFrom)
      wrong = now
      wrongFrom = page
    }
    return free
  }
}

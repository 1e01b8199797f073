/**
 * Finding, locking, judging and creating the pool file. The order matters: lock before reading anything that a writer
 * may be changing, identity before size, size before mapping, extents before the first store.
 */
import { randomBytes } from 'node:crypto'
import { constants, linkSync, openSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DaxkvError } from '../errors.js'
import { chooseFileExecutor, type FileExecutor, type MapRequest } from '../pmem/file-executor.js'
import {
  closeQuietly,
  errnoOf,
  fileError,
  readFully,
  removeQuietly,
  statFile,
  syncDirectory,
} from '../pmem/file-calls.js'
import type { Granularity, PersistentMemory } from '../pmem/persistent-memory.js'
import { PAGE_BYTES } from '../pmem/program.js'
import { SimulatedMemory } from '../pmem/simulated-memory.js'
import { formatPool } from './create.js'
import { DEFAULT_SEGMENT_SHIFT, PAGE_ROOT, ROOT_OFFSET_CAPACITY_PAGES } from './format.js'
import { Geometry } from './geometry.js'
import { decodeIdentity, type Identity, MAX_SEGMENT_SHIFT, MIN_SEGMENT_SHIFT } from './identity.js'

const MIB = 1024 * 1024

export const DEFAULT_INITIAL_SIZE_BYTES = 8 * MIB
export const DEFAULT_LOG_SIZE_BYTES = MIB
/**
 * Under redo the log is a ring that a checkpoint empties when it is half full, and the limit of one transaction: ten
 * thousand puts at random places of a large store make a record of six to ten MiB.
 */
export const DEFAULT_REDO_LOG_SIZE_BYTES = 16 * MIB
export const DEFAULT_REDO_INITIAL_SIZE_BYTES = 24 * MIB
/** Memory pools start small: opening one must cost microseconds. */
export const MEMORY_INITIAL_SIZE_BYTES = 512 * 1024
export const MEMORY_LOG_SIZE_BYTES = 64 * 1024
/** The extent table of a record must fit the slot with room to spare. */
const MIN_LOG_BYTES = 16 * 1024
/** Path that opens a pool living in this process only. */
export const MEMORY_PATH = ':memory:'

/** `native` and `portable` keep a pool in a file, `simulated` is for `:memory:`. */
export type ExecutorName = 'native' | 'portable' | 'simulated'

export interface PoolFileOptions {
  readonly readOnly: boolean
  readonly create: boolean
  readonly initialSizeBytes: number | undefined
  readonly logSizeBytes: number | undefined
  readonly segmentBytes: number | undefined
  readonly maxSizeBytes: number | undefined
  readonly requireGranularity: Granularity | undefined
  readonly forceGranularity: Granularity | undefined
  readonly executor: ExecutorName | undefined
  readonly logging: 'undo' | 'redo' | undefined
  readonly memory: PersistentMemory | undefined
  readonly random: (words: Uint32Array) => void
}

export interface PoolFile {
  readonly memory: PersistentMemory
  readonly identity: Identity
}

/**
 * Opens or creates the pool.
 *
 * @throws DaxkvError POOL_NOT_FOUND, PERMISSION_DENIED, UNSUPPORTED_TARGET, POOL_LOCKED, POOL_ALREADY_OPEN, NOT_A_POOL,
 *   UNSUPPORTED_FORMAT, CORRUPT, EXTENTS_UNSAFE, GRANULARITY_UNAVAILABLE, NO_SPACE, IO_ERROR.
 */
export function openPoolFile(path: string, options: PoolFileOptions): PoolFile {
  if (options.memory !== undefined) return adopt(options.memory, path, options)
  const wanted = checkedExecutor(path, options)
  if (wanted === 'simulated') return openMemory(options)
  const executor = chooseFileExecutor(wanted)
  for (;;) {
    const fd = openExisting(path, options.readOnly)
    if (fd !== undefined) return openFile(fd, path, options, executor)
    if (!options.create || options.readOnly) {
      throw new DaxkvError(
        'POOL_NOT_FOUND',
        `${path} does not exist${options.readOnly ? '' : ' and create is false'}`,
        {
          path,
        },
      )
    }
    const created = createFile(path, options, executor)
    if (created !== undefined) return created
    // Somebody else created it in the meantime: open theirs.
  }
}

/** Memory pools and files have executors of their own; a mix-up must not end in a store that forgets. */
function checkedExecutor(path: string, options: PoolFileOptions): ExecutorName | undefined {
  const executor = options.executor ?? (path === MEMORY_PATH ? 'simulated' : undefined)
  if ((path === MEMORY_PATH) === (executor === 'simulated')) return executor
  const fitting = path === MEMORY_PATH ? "only 'simulated' can" : "only 'native' and 'portable' can"
  throw new DaxkvError('INVALID_ARGUMENT', `executor '${executor ?? ''}' cannot open ${path}: ${fitting}`, { path })
}

/** Where the sizes of a new pool that the caller has not given come from. */
type SizeDefaults = 'memory' | 'undo' | 'redo'

function defaultInitialBytes(defaults: SizeDefaults): number {
  if (defaults === 'memory') return MEMORY_INITIAL_SIZE_BYTES
  return defaults === 'undo' ? DEFAULT_INITIAL_SIZE_BYTES : DEFAULT_REDO_INITIAL_SIZE_BYTES
}

function defaultLogBytes(defaults: SizeDefaults, initialBytes: number, mostBytes: number): number {
  // Not less in pools that start small, only in those that stay so: a record cannot be longer than the ring.
  if (defaults === 'redo')
    return Math.max(MIN_LOG_BYTES, Math.min(DEFAULT_REDO_LOG_SIZE_BYTES, Math.floor(mostBytes / 4)))
  const most = defaults === 'memory' ? MEMORY_LOG_SIZE_BYTES : DEFAULT_LOG_SIZE_BYTES
  return Math.max(MIN_LOG_BYTES, Math.min(most, Math.floor(initialBytes / 8)))
}

/** Sizes of a new pool, in pages, checked against one another. */
function plan(options: PoolFileOptions, defaults: SizeDefaults): { geometry: Geometry; capacityPages: number } {
  const segmentBytes = options.segmentBytes ?? PAGE_BYTES * 2 ** DEFAULT_SEGMENT_SHIFT
  const segmentShift = Math.log2(segmentBytes / PAGE_BYTES)
  if (!Number.isInteger(segmentShift) || segmentShift < MIN_SEGMENT_SHIFT || segmentShift > MAX_SEGMENT_SHIFT) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      `segmentBytes must be a power of two from ${PAGE_BYTES * 2 ** MIN_SEGMENT_SHIFT} to ` +
        `${PAGE_BYTES * 2 ** MAX_SEGMENT_SHIFT}, not ${segmentBytes}`,
      { actual: segmentBytes },
    )
  }
  const maxPages = Math.floor((options.maxSizeBytes ?? Infinity) / PAGE_BYTES)
  const initial = options.initialSizeBytes ?? Math.min(defaultInitialBytes(defaults), maxPages * PAGE_BYTES)
  const mostBytes = Math.min(segmentBytes, maxPages * PAGE_BYTES)
  const wantedLog = options.logSizeBytes ?? defaultLogBytes(defaults, initial, mostBytes)
  if (wantedLog < MIN_LOG_BYTES || wantedLog > segmentBytes / 2) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      `logSizeBytes must be from ${MIN_LOG_BYTES} to half a segment (${segmentBytes / 2}), not ${wantedLog}`,
      { actual: wantedLog },
    )
  }
  const geometry = new Geometry(segmentShift, Math.ceil(wantedLog / PAGE_BYTES))
  const least = geometry.firstFreePage + 16
  const capacityPages = Math.min(Math.max(Math.ceil(initial / PAGE_BYTES), least), geometry.segmentPages)
  if (capacityPages > maxPages) {
    throw new DaxkvError(
      'INVALID_ARGUMENT',
      `maxSizeBytes is ${maxPages * PAGE_BYTES}, a pool with these sizes starts at ${capacityPages * PAGE_BYTES} bytes`,
      { limit: maxPages * PAGE_BYTES, actual: capacityPages * PAGE_BYTES },
    )
  }
  return { geometry, capacityPages }
}

function openMemory(options: PoolFileOptions): PoolFile {
  if (options.requireGranularity !== undefined) {
    throw new DaxkvError(
      'GRANULARITY_UNAVAILABLE',
      `requireGranularity '${options.requireGranularity}' cannot be met by ${MEMORY_PATH}: nothing in it outlives the process`,
      { path: MEMORY_PATH },
    )
  }
  const { geometry, capacityPages } = plan(options, 'memory')
  const memory = new SimulatedMemory({
    sizeBytes: capacityPages * PAGE_BYTES,
    segmentShift: geometry.segmentShift,
    ...(options.forceGranularity === undefined ? {} : { granularity: options.forceGranularity, forced: true }),
  })
  formatPool(memory, geometry, capacityPages, options.random)
  return { memory, identity: identityOf(memory, MEMORY_PATH) }
}

/** A memory handed in by a test: formatted already, or blank. */
function adopt(memory: PersistentMemory, path: string, options: PoolFileOptions): PoolFile {
  const head = memory.segments[0].u8.subarray(0, 2 * PAGE_BYTES)
  if (head.every((byte) => byte === 0)) {
    const { geometry } = plan({ ...options, segmentBytes: PAGE_BYTES * 2 ** memory.segmentShift }, 'memory')
    formatPool(memory, geometry, memory.sizeBytes / PAGE_BYTES, options.random)
  }
  const identity = identityOf(memory, path)
  checkOpenable(identity, memory.sizeBytes, path, options.readOnly)
  return { memory, identity }
}

/** @throws DaxkvError UNSUPPORTED_FORMAT where only reading is possible, TRUNCATED where even the fixed pages are not all there. */
function checkOpenable(identity: Identity, sizeBytes: number, path: string, readOnly: boolean): void {
  if (identity.readOnlyFeatures && !readOnly) {
    throw new DaxkvError(
      'UNSUPPORTED_FORMAT',
      `${path} uses features this library can only read: open it with readOnly, or upgrade daxkv`,
      { path },
    )
  }
  const least = new Geometry(identity.segmentShift, identity.logPages).firstFreePage * PAGE_BYTES
  if (sizeBytes < least) {
    throw new DaxkvError('TRUNCATED', `${path} has ${sizeBytes} bytes, a pool like it has at least ${least}`, {
      path,
      limit: least,
      actual: sizeBytes,
    })
  }
}

function identityOf(memory: PersistentMemory, path: string): Identity {
  return decodeIdentity(Buffer.from(memory.segments[0].u8.subarray(0, 2 * PAGE_BYTES)), path)
}

function openExisting(path: string, readOnly: boolean): number | undefined {
  try {
    // Node opens with O_CLOEXEC; O_NOFOLLOW keeps a planted symbolic link from redirecting us.
    return openSync(
      path,
      (readOnly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    )
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw openError(error, path)
  }
}

function openFile(fd: number, path: string, options: PoolFileOptions, executor: FileExecutor): PoolFile {
  let unlock: (() => void) | undefined
  try {
    const stat = statFile(fd, path)
    if (!stat.isFile()) {
      const what = stat.isDirectory()
        ? 'a directory'
        : stat.isCharacterDevice()
          ? 'a character device (device-dax is not supported yet: make an fsdax namespace and a file on it)'
          : 'not a regular file'
      throw new DaxkvError('UNSUPPORTED_TARGET', `${path} is ${what}`, { path })
    }
    unlock = executor.lock(fd, path, options.readOnly)
    const head = Buffer.alloc(Math.min(stat.size, 2 * PAGE_BYTES))
    const identity = decodeIdentity(head.subarray(0, readFully(fd, path, head, 0)), path)
    // The size may have changed between stat and lock.
    const sizeBytes = Math.floor(statFile(fd, path).size / PAGE_BYTES) * PAGE_BYTES
    checkOpenable(identity, sizeBytes, path, options.readOnly)
    // Its creator may have died between naming it and making the name durable; see publish.
    if (!options.readOnly && stat.nlink > 1) syncDirectory(dirname(path), path)
    if (!options.readOnly) executor.repairExtents(fd, path, Math.min(sizeBytes, usedBytes(fd, path)))
    const request = mapRequest(path, sizeBytes, identity.segmentShift, options)
    return { memory: executor.map(fd, request, unlock), identity }
  } catch (error) {
    unlock?.()
    closeQuietly(fd)
    throw error
  }
}

/**
 * What of the file belongs to the pool, by the capacity in the root page as it stands: a longer file is ignored, so its
 * rest is nothing to repair. A growth that only the log knows of has written and synced its pages itself.
 */
function usedBytes(fd: number, path: string): number {
  const capacity = Buffer.alloc(4)
  readFully(fd, path, capacity, PAGE_ROOT * PAGE_BYTES + ROOT_OFFSET_CAPACITY_PAGES)
  return capacity.readUInt32LE(0) * PAGE_BYTES
}

/**
 * Creates the pool under a temporary name and gives it its real one only when it is complete and durable: a crash
 * before leaves no pool, only a file named `.NAME.creating-...` that may be deleted.
 */
function createFile(path: string, options: PoolFileOptions, executor: FileExecutor): PoolFile | undefined {
  const temporary = join(dirname(path), `.${basename(path)}.creating-${randomBytes(6).toString('hex')}`)
  let fd: number
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    fd = openSync(temporary, flags, 0o600)
  } catch (error) {
    throw openError(error, path)
  }
  let memory: PersistentMemory | undefined
  let unlock: (() => void) | undefined
  try {
    const { geometry, capacityPages } = plan(options, expectedLogging(fd, path, options, executor))
    unlock = executor.lock(fd, path, false)
    executor.zeroFill(fd, path, 0, capacityPages * PAGE_BYTES)
    const request = mapRequest(path, capacityPages * PAGE_BYTES, geometry.segmentShift, options)
    memory = executor.map(fd, request, unlock)
    formatPool(memory, geometry, capacityPages, options.random)
    if (!publish(temporary, path)) {
      memory.close()
      return undefined
    }
    return { memory, identity: identityOf(memory, path) }
  } catch (error) {
    if (memory === undefined) {
      unlock?.()
      closeQuietly(fd)
    } else {
      memory.close()
    }
    removeQuietly(temporary)
    throw error
  }
}

/** The log policy that a new pool will have; it decides how long its log is. */
function expectedLogging(fd: number, path: string, options: PoolFileOptions, executor: FileExecutor): 'undo' | 'redo' {
  if (options.logging !== undefined) return options.logging
  if (options.forceGranularity !== undefined) return options.forceGranularity === 'page' ? 'redo' : 'undo'
  return executor.grantsMapSync(fd, path) ? 'undo' : 'redo'
}

/** Names the finished file; false when the name is taken. The directory entry is durable when this returns true. */
function publish(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path) // unlike rename, fails when the name exists
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw fileError('naming the finished pool (link)', path, error)
    removeQuietly(temporary)
    return false
  }
  try {
    syncDirectory(dirname(path), path)
  } catch (error) {
    removeQuietly(path) // nobody else can have opened it: the lock is ours
    throw error
  }
  // Last: until it is gone the link count tells the next open that the name may not be durable yet.
  removeQuietly(temporary)
  return true
}

function mapRequest(path: string, sizeBytes: number, segmentShift: number, options: PoolFileOptions): MapRequest {
  const { readOnly, requireGranularity, forceGranularity } = options
  return { path, sizeBytes, segmentShift, readOnly, requireGranularity, forceGranularity }
}

function openError(error: unknown, path: string): DaxkvError {
  const errno = errnoOf(error)
  if (errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS') {
    return new DaxkvError('PERMISSION_DENIED', `${path} cannot be opened: ${errno}; check owner and mode`, {
      path,
      errno,
      cause: error,
    })
  }
  if (errno === 'ELOOP') {
    return new DaxkvError(
      'UNSUPPORTED_TARGET',
      `${path} is a symbolic link, which is not followed: give the real path`,
      {
        path,
        errno,
      },
    )
  }
  if (errno === 'EISDIR') return new DaxkvError('UNSUPPORTED_TARGET', `${path} is a directory`, { path, errno })
  if (errno === 'ENOENT' || errno === 'ENOTDIR') {
    return new DaxkvError('POOL_NOT_FOUND', `the directory of ${path} does not exist`, { path, errno })
  }
  if (errno === 'ENOSPC') return new DaxkvError('NO_SPACE', `no space left to create ${path}`, { path, errno })
  return fileError('open', path, error)
}

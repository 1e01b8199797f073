/**
 * The lock of the portable executor: a directory `POOL.lock` beside the pool with a file for each owner, since `node:fs`
 * has no kernel locks. `writer` exists once at most; each reader has a `reader-TOKEN`. An owner first makes its file
 * and then looks for others (native owners do the same with their kernel lock, see `refusePortableOwners`): of two who
 * come at the same time at least one sees the other.
 */
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { DaxkvError } from '../errors.js'
import { isLockedNatively } from './kernel-locks.js'
import { currentOwner, ownerState, parseOwner } from './lock-owner.js'
import type { LockOwner } from './lock-owner.js'
import { fileError } from './portable-file.js'

const WRITER = 'writer'
const READER_PREFIX = 'reader-'
/** Files on their way to becoming one of the above. */
const NEW_PREFIX = 'new-'
/** Held while the lock of the dead owner of that token is removed. */
const BREAKING_PREFIX = 'breaking-'

/** The directory whose files are the locks of a pool. */
export function lockDirectory(path: string): string {
  return `${path}.lock`
}

/**
 * Locks the pool behind `fd` against portable and native owners; returns what gives the lock back. A lock whose owner is
 * dead is removed.
 * @throws DaxkvError POOL_LOCKED (another process, or one that cannot be judged from here), POOL_ALREADY_OPEN (this
 * process), PERMISSION_DENIED, UNSUPPORTED_TARGET, IO_ERROR.
 */
export function lockPortably(fd: number, path: string, readOnly: boolean): () => void {
  const directory = lockDirectory(path)
  const owner = currentOwner()
  const name = readOnly ? `${READER_PREFIX}${owner.token}` : WRITER
  if (!acquire(directory, name, owner, path, readOnly)) return () => undefined
  const release = (): void => {
    removeQuietly(join(directory, name))
    // Fails while others are in it, as it should.
    removeDirectoryQuietly(directory)
  }
  try {
    refuseOthers(directory, name, path, readOnly)
    if (isLockedNatively(fd, path, readOnly))
      throw locked(path, 'is open with the native executor, in this process or another one')
  } catch (error) {
    release()
    throw error
  }
  return release
}

/**
 * For a native owner that holds its kernel lock already: refuses the pool if a living portable owner has it. Costs one
 * failing system call where no portable owner has ever died.
 * @throws DaxkvError POOL_LOCKED, POOL_ALREADY_OPEN, IO_ERROR.
 */
export function refusePortableOwners(path: string, readOnly: boolean): void {
  const directory = lockDirectory(path)
  if (!refuseOthers(directory, '', path, readOnly) || readOnly) return
  try {
    const writer = readOwner(join(directory, WRITER))
    if (writer !== undefined) breakOrRefuse(directory, WRITER, writer, path)
  } catch (error) {
    if (error instanceof DaxkvError) throw error
    // What could not be removed was judged dead; it is left to be judged again.
  }
  removeDirectoryQuietly(directory)
}

/** Makes the owner's file; false where a read-only file system needs and allows none. */
function acquire(directory: string, name: string, owner: LockOwner, path: string, readOnly: boolean): boolean {
  for (;;) {
    try {
      makeDirectory(directory)
      if (createFile(directory, name, owner)) return true
      const blocking = readOwner(join(directory, name))
      if (blocking !== undefined) breakOrRefuse(directory, name, blocking, path)
    } catch (error) {
      if (error instanceof DaxkvError) throw error
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EROFS' && readOnly) return false
      // Another owner closed the pool and removed the directory in between.
      if (code !== 'ENOENT' || !fs.existsSync(dirname(directory))) throw fileError('making the lock file', path, error)
    }
  }
}

function makeDirectory(directory: string): void {
  try {
    fs.mkdirSync(directory, 0o700)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Exclusive creation of a file that is complete from the first moment it has its name: a link, not an open. */
function createFile(directory: string, name: string, owner: LockOwner): boolean {
  const temporary = join(directory, `${NEW_PREFIX}${owner.token}`)
  fs.writeFileSync(temporary, `${JSON.stringify(owner)}\n`, { flag: 'wx', mode: 0o600 })
  try {
    fs.linkSync(temporary, join(directory, name))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    removeQuietly(temporary)
  }
}

/**
 * Removes the lock of a dead owner. Two that find it must not both remove it: the second would remove the lock that the
 * first has taken since. So it is done under a lock of its own, named after the dead one, and after a second look; if
 * its holder dies as well, that lock is broken in the same way.
 */
function breakOrRefuse(directory: string, name: string, dead: LockOwner, path: string): void {
  refuseLiving(dead, join(directory, name), path)
  const owner = currentOwner()
  const breaking = `${BREAKING_PREFIX}${dead.token}`
  if (!createFile(directory, breaking, owner)) {
    const breaker = readOwner(join(directory, breaking))
    if (breaker !== undefined) breakOrRefuse(directory, breaking, breaker, path)
    return
  }
  try {
    if (readOwner(join(directory, name))?.token === dead.token) fs.unlinkSync(join(directory, name))
  } finally {
    removeQuietly(join(directory, breaking))
  }
}

/**
 * Looks at all owners but `own`; a writer is kept out by any of them, a reader by a writer. False when there is not even
 * a directory.
 */
function refuseOthers(directory: string, own: string, path: string, readOnly: boolean): boolean {
  const names = listOwners(directory, path)
  for (const name of names ?? []) {
    if (name === own || (name !== WRITER && (readOnly || !name.startsWith(READER_PREFIX)))) continue
    const other = readOwner(join(directory, name))
    if (other === undefined) continue
    refuseLiving(other, join(directory, name), path)
    // The name of a reader is never used again: nobody else can be hit.
    if (name !== WRITER) removeQuietly(join(directory, name))
  }
  return names !== undefined
}

function listOwners(directory: string, path: string): string[] | undefined {
  try {
    return fs.readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fileError('reading the lock files', path, error)
  }
}

/** Undefined when the file has gone in the meantime. */
function readOwner(file: string): LockOwner | undefined {
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fileError('reading the lock file', file, error)
  }
  const owner = parseOwner(text)
  if (owner !== undefined) return owner
  throw new DaxkvError(
    'POOL_LOCKED',
    `the lock file ${file} is damaged; if no process has the pool open, remove its directory`,
    { path: file },
  )
}

function refuseLiving(owner: LockOwner, file: string, path: string): void {
  const state = ownerState(owner)
  if (state === 'dead') return
  const since = `since ${owner.since}, by the portable executor`
  if (state === 'this process') {
    throw new DaxkvError(
      'POOL_ALREADY_OPEN',
      `${path} is already open in this process (${since}); use that store, or close it first`,
      { path },
    )
  }
  if (state === 'alive') throw locked(path, `is open in process ${owner.pid} (${since})`)
  throw locked(
    path,
    `is locked by process ${owner.pid} of ${owner.host} (${since}), which cannot be looked at from here; if it is gone, ` +
      `remove ${file}`,
  )
}

function locked(path: string, what: string): DaxkvError {
  return new DaxkvError('POOL_LOCKED', `${path} ${what}; close it there first`, { path })
}

function removeQuietly(file: string): void {
  try {
    fs.unlinkSync(file)
  } catch {
    // Gone already, or left for the next owner to judge.
  }
}

function removeDirectoryQuietly(directory: string): void {
  try {
    fs.rmdirSync(directory)
  } catch {
    // Others are in it.
  }
}

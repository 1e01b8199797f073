/** Writes the "newc" archives that the kernel unpacks as its first root file system. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

const DIRECTORY = 0o040755
const SYMLINK = 0o120777
const EXECUTABLE = 0o100755

/** What an archive holds, by absolute path in the guest. */
export type Entry =
  | { readonly file: string }
  | { readonly text: string | Buffer }
  | { readonly link: string }
  | { readonly directory: true }

/** Writes the entries, with the directories above them, in the order of their paths. */
export function writeArchive(archive: string, entries: ReadonlyMap<string, Entry>): void {
  const all = new Map(entries)
  for (const path of entries.keys()) {
    for (let parent = dirname(path); parent !== '/'; parent = dirname(parent)) {
      if (!all.has(parent)) all.set(parent, { directory: true })
    }
  }
  const fd = openSync(archive, 'w')
  let inode = 1
  try {
    for (const path of [...all.keys()].sort()) {
      const entry = all.get(path)
      if (entry !== undefined) writeEntry(fd, path.slice(1), entry, inode++)
    }
    writeEntry(fd, 'TRAILER!!!', { text: '' }, 0)
  } finally {
    closeSync(fd)
  }
}

function writeEntry(fd: number, name: string, entry: Entry, inode: number): void {
  let mode = EXECUTABLE
  let data: Buffer
  if ('directory' in entry) {
    mode = DIRECTORY
    data = Buffer.alloc(0)
  } else if ('link' in entry) {
    mode = SYMLINK
    data = Buffer.from(entry.link)
  } else {
    data = 'file' in entry ? readFileSync(entry.file) : Buffer.from(entry.text)
  }
  const nameBytes = Buffer.from(`${name}\0`)
  // inode, mode, uid, gid, links, mtime, size, device and rdevice (major, minor), length of the name, checksum
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, nameBytes.length, 0]
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
  write(fd, padded(Buffer.concat([Buffer.from(header), nameBytes])))
  write(fd, padded(data))
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % 4
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)])
}

function write(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
}

/** NVDIMMs and the file systems on them, from inside the guest. */
import { mkdirSync, readFileSync, readdirSync, realpathSync } from 'node:fs'
import type { Disk, FileSystem } from '../protocol.js'
import { eventually, run } from './shell.js'

const DEVICES = '/sys/bus/nd/devices'

/** Regions of persistent memory that are no NVDIMMs; words in the paths of their devices. */
const SPECIAL = ['e820_pmem', 'virtio'] as const

/** Names of the NVDIMM regions in the order of their addresses, which is that of QEMU's command line. */
export function regions(): string[] {
  return readdirSync(DEVICES)
    .filter((name) => /^region\d+$/.test(name))
    .filter((name) => !SPECIAL.some((word) => realpathSync(`${DEVICES}/${name}`).includes(word)))
    .map((name) => ({ name, address: BigInt(readFileSync(`${DEVICES}/${name}/resource`, 'latin1').trim()) }))
    .sort((a, b) => (a.address < b.address ? -1 : 1))
    .map(({ name }) => name)
}

/** Makes a namespace on the NVDIMM: block device with DAX, character device, or block device without DAX. */
export function makeNamespace(index: number, mode: 'fsdax' | 'devdax' | 'raw'): void {
  const region = eventually(`NVDIMM ${index}`, () => regions()[index])
  const namespace = `namespace${region.replace('region', '')}.0`
  const map = mode === 'raw' ? [] : ['--map=mem']
  run('ndctl', 'create-namespace', '-f', '-e', namespace, '-m', mode, ...map)
}

/** The block device of an NVDIMM. */
export function blockDevice(index: number): string {
  return eventually(`block device of NVDIMM ${index}`, () => {
    const region = regions()[index]
    const name = readdirSync('/sys/block').find(
      (block) => block.startsWith('pmem') && realpathSync(`/sys/block/${block}`).includes(`/${region}/`),
    )
    return name === undefined ? undefined : `/dev/${name}`
  })
}

/** The block device of legacy pmem (`memmap=`) or of virtio-pmem. */
export function specialBlockDevice(word: (typeof SPECIAL)[number]): string {
  return eventually(`pmem by ${word}`, () => {
    const name = readdirSync('/sys/block').find(
      (block) => block.startsWith('pmem') && realpathSync(`/sys/block/${block}`).includes(word),
    )
    return name === undefined ? undefined : `/dev/${name}`
  })
}

/** Makes a file system with the block size that DAX wants. */
export function makeFileSystem(device: string, fileSystem: FileSystem, ...options: string[]): void {
  if (fileSystem === 'ext4') run('mkfs.ext4', '-q', '-F', '-b', '4096', '-J', 'size=8', ...options, device)
  else run('mkfs.xfs', '-q', '-f', '-K', ...options, device)
}

export function mountAt(device: string, directory: string, fileSystem: string, options: string): void {
  mkdirSync(directory, { recursive: true })
  run('mount', '-t', fileSystem, '-o', options, device, directory)
}

export function unmount(directory: string): void {
  run('umount', directory)
}

/** Mount options that make a file system DAX, or keep it from it. */
export function mountOptions({ fileSystem, access }: Pick<Disk, 'fileSystem' | 'access'>): string {
  const dax = access === 'page-cache' ? 'dax=never' : fileSystem === 'ext4' ? 'dax' : 'dax=always'
  // Several copies of one XFS are mounted at a time
  return fileSystem === 'xfs' ? `${dax},nouuid` : dax
}

/** Namespace and file system on a disk that is not yet mounted. */
export function format(disk: Disk): void {
  makeNamespace(disk.index, 'fsdax')
  makeFileSystem(blockDevice(disk.index), disk.fileSystem)
}

/** Where a disk is mounted. */
export function directoryOf(disk: Disk): string {
  return `${process.env['DAXKV_VM_MOUNTS'] ?? '/mnt'}/disk${disk.index}`
}

function deviceOf(disk: Disk): string {
  return disk.device ?? blockDevice(disk.index)
}

export function mountDisk(disk: Disk): void {
  mountAt(deviceOf(disk), directoryOf(disk), disk.fileSystem, mountOptions(disk))
}

/** Unmounts and has the file system checked; what the checker says against it, or an empty text. */
export function unmountAndCheck(disk: Disk): string {
  unmount(directoryOf(disk))
  return checkFileSystem(deviceOf(disk), disk.fileSystem)
}

export function checkFileSystem(device: string, fileSystem: FileSystem): string {
  try {
    if (fileSystem === 'ext4') run('e2fsck', '-f', '-n', device)
    else run('xfs_repair', '-n', device)
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

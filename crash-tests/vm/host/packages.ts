/** What the laboratory needs from the machine: commands of Debian packages, and Debian's kernel. */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Commands by the package that has them. Those for the guest are copied into it with their libraries. */
const PACKAGES: readonly { readonly name: string; readonly commands: readonly string[] }[] = [
  { name: 'qemu-system-x86', commands: ['qemu-system-x86_64'] },
  { name: 'busybox-static', commands: ['busybox'] },
  { name: 'e2fsprogs', commands: ['mkfs.ext4', 'e2fsck', 'chattr', 'filefrag'] },
  { name: 'xfsprogs', commands: ['mkfs.xfs', 'xfs_repair'] },
  { name: 'ndctl', commands: ['ndctl'] },
  { name: 'dmsetup', commands: ['dmsetup'] },
  { name: 'util-linux', commands: ['fallocate'] },
  { name: 'kmod', commands: ['depmod'] },
  { name: 'gcc', commands: ['cc'] },
]

const GUEST_COMMANDS = [
  'busybox',
  'mkfs.ext4',
  'e2fsck',
  'chattr',
  'filefrag',
  'fallocate',
  'mkfs.xfs',
  'xfs_repair',
  'ndctl',
  'dmsetup',
] as const

const SEARCH = [...(process.env['PATH'] ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin']

/** Something the machine lacks; the message says how to get it. Not a failure of what is tested. */
export class Unavailable extends Error {
  override name = 'Unavailable'
}

export interface Kernel {
  readonly version: string
  readonly image: string
  /** Directory holding modules.dep. */
  readonly modules: string
}

export interface Tools {
  readonly qemu: string
  readonly compiler: string
  /** Path by name. */
  readonly guestCommands: ReadonlyMap<string, string>
  readonly kernel: Kernel
}

/** Finds everything. @throws Unavailable naming the packages to install. */
export function findTools(cache: string, say: (text: string) => void): Tools {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Unavailable(`the laboratory runs on Linux x64 only, this is ${process.platform} ${process.arch}`)
  }
  const missing = PACKAGES.filter(({ commands }) => commands.some((command) => which(command) === undefined))
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(' ')
    throw new Unavailable(
      `Debian packages are missing: ${names}; install them with: apt-get install -y --no-install-recommends ${names}`,
    )
  }
  const guestCommands = new Map(GUEST_COMMANDS.map((command) => [command, need(command)]))
  const kernel = findKernel(cache, say)
  return { qemu: need('qemu-system-x86_64'), compiler: need('cc'), guestCommands, kernel }
}

function which(command: string): string | undefined {
  return SEARCH.map((directory) => join(directory, command)).find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function need(command: string): string {
  const path = which(command)
  if (path === undefined) throw new Unavailable(`${command} is missing`)
  return path
}

/** Debian's kernel: unpacked into the cache before, else installed on this machine, else fetched as a package. */
function findKernel(cache: string, say: (text: string) => void): Kernel {
  const unpacked = join(cache, 'kernel')
  const found = kernelBelow(unpacked) ?? kernelBelow('/')
  if (found !== undefined) return found
  say('fetching the Debian package of the kernel')
  mkdirSync(unpacked, { recursive: true })
  try {
    const depends = execFileSync('apt-cache', ['depends', 'linux-image-amd64'], { encoding: 'utf8' })
    const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1]
    if (name === undefined) throw new Error('linux-image-amd64 depends on no kernel')
    execFileSync('apt-get', ['download', '-qq', name], { cwd: unpacked, stdio: ['ignore', 'ignore', 'pipe'] })
    const archive = readdirSync(unpacked).find((file) => file.startsWith(name) && file.endsWith('.deb'))
    execFileSync('dpkg', ['-x', archive ?? name, '.'], { cwd: unpacked })
    // The package leaves this to the installation.
    const version = readdirSync(join(unpacked, 'lib/modules'))[0]
    execFileSync(need('depmod'), ['-b', unpacked, version])
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new Unavailable(
      `no Debian kernel: neither installed (package linux-image-amd64) nor to be fetched with apt-get download (${why}); ` +
        'after apt-get update it may be found',
    )
  }
  const kernel = kernelBelow(unpacked)
  if (kernel === undefined)
    throw new Unavailable(`the kernel package in ${unpacked} holds no kernel image with modules`)
  return kernel
}

function kernelBelow(root: string): Kernel | undefined {
  const parent = join(root, 'lib/modules')
  if (!existsSync(parent)) return undefined
  for (const version of readdirSync(parent)) {
    const modules = join(parent, version)
    const image = join(root, 'boot', `vmlinuz-${version}`)
    const has = [join(modules, 'modules.dep'), join(modules, 'kernel/drivers/nvdimm/nd_pmem.ko'), image]
    if (has.every((path) => isReadable(path))) return { version, image, modules }
  }
  return undefined
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

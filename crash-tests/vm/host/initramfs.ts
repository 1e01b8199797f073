/**
 * The guest's root file system, kept in memory: busybox, the tools, the kernel modules, this machine's own node, and the
 * package as it is published (dist and the compiled addon). Built afresh when any of it has changed.
 */
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'
import { ROOT } from '../../src/bundle.js'
import { writeArchive } from './cpio.js'
import type { Entry } from './cpio.js'
import type { Kernel, Tools } from './packages.js'

/** Loaded by the guest, in this order; what they need comes along. */
const MODULES = [
  'nfit',
  'nd_pmem',
  'nd_e820',
  'dax_pmem',
  'device_dax',
  'virtio_pci',
  'virtio_blk',
  'virtio_pmem',
  'qemu_fw_cfg',
  'crc32c_generic',
  'crc32c_intel',
  'ext4',
  'xfs',
  'overlay',
  'loop',
  'dm-mod',
  'dm-flakey',
  'dm-log-writes',
]

/** Measured beside the store in the cold comparison; without them it leaves them out. */
const PEERS = ['lmdb', '@lmdb/lmdb-linux-x64', 'better-sqlite3']

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /mnt /run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
for module in ${MODULES.join(' ')}; do
  modprobe $module 2>/dev/null || echo "no module $module"
done
export PATH=/bin:/usr/bin HOME=/tmp DM_DISABLE_UDEV=1
stty -F /dev/ttyS1 raw -echo
if node /lab/guest.mjs; then echo job done; else echo job failed; fi
sync
poweroff -f
`

/** Builds the archive, or finds the one built before; returns its path. */
export async function buildInitramfs(tools: Tools, cache: string, say: (text: string) => void): Promise<string> {
  mkdirSync(cache, { recursive: true })
  const base = new Map<string, Entry>()
  for (const [name, path] of tools.guestCommands) addProgram(base, path, `/bin/${name}`)
  addProgram(base, process.execPath, '/bin/node')
  base.set('/usr/bin', { link: '/bin' })
  addModules(base, tools.kernel)
  const app = new Map<string, Entry>([['/init', { text: INIT }]])
  await addGuestPrograms(app, tools, cache)
  addPackage(app)

  const archive = join(cache, 'initramfs.cpio')
  const stamp = `${fingerprint(base)} ${fingerprint(app)}`
  const stampFile = `${archive}.stamp`
  if (existsSync(archive) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return archive
  say('building the initramfs')
  rmSync(stampFile, { force: true })
  const second = `${archive}.app`
  writeArchive(`${archive}.new`, base)
  writeArchive(second, app)
  appendFileSync(`${archive}.new`, readFileSync(second)) // the kernel unpacks concatenated archives one after the other
  rmSync(second)
  renameSync(`${archive}.new`, archive)
  writeFileSync(stampFile, stamp)
  return archive
}

/** A program and the libraries that the loader says it needs. */
function addProgram(entries: Map<string, Entry>, path: string, target: string): void {
  entries.set(target, { file: realpathSync(path) })
  addLibraries(entries, path)
}

function addLibraries(entries: Map<string, Entry>, path: string): void {
  let listing: string
  try {
    listing = execFileSync('ldd', [path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return // static
  }
  for (const [, library] of listing.matchAll(/(\/\S+) \(0x/g)) entries.set(library, { file: realpathSync(library) })
}

function addModules(entries: Map<string, Entry>, kernel: Kernel): void {
  const dependencies = new Map<string, string[]>()
  for (const line of readFileSync(join(kernel.modules, 'modules.dep'), 'utf8').split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) dependencies.set(line.slice(0, colon), line.slice(colon + 1).split(' ').filter(Boolean)) // prettier-ignore
  }
  const target = `/lib/modules/${kernel.version}`
  const wanted = new Set(MODULES.map((name) => name.replaceAll('-', '_')))
  const lines: string[] = []
  for (const [path, needs] of dependencies) {
    const name = basename(path).replace(/\.ko.*$/, '').replaceAll('-', '_') // prettier-ignore
    if (!wanted.has(name)) continue
    for (const file of [path, ...needs]) {
      entries.set(`${target}/${file}`, { file: join(kernel.modules, file) })
      lines.push(`${file}: ${(dependencies.get(file) ?? []).join(' ')}`)
    }
  }
  entries.set(`${target}/modules.dep`, { text: `${[...new Set(lines)].join('\n')}\n` })
}

/** Bundles the guest's program; returns its path. It imports the package as users get it, not the sources. */
export async function buildGuestProgram(cache: string): Promise<string> {
  const outfile = join(cache, 'guest.mjs')
  await build({
    entryPoints: [join(ROOT, 'crash-tests/vm/guest/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
    plugins: [
      {
        name: 'installed-package',
        setup(builder) {
          builder.onResolve({ filter: /src\/index\.js$/ }, () => ({ path: 'daxkv', external: true }))
        },
      },
    ],
  })
  return outfile
}

async function addGuestPrograms(entries: Map<string, Entry>, tools: Tools, cache: string): Promise<void> {
  entries.set('/lab/guest.mjs', { file: await buildGuestProgram(cache) })
  const native = join(ROOT, 'crash-tests/vm/native')
  for (const source of readdirSync(native).filter((name) => name.endsWith('.c'))) {
    const name = basename(source, '.c')
    const preload = name.startsWith('preload-')
    const product = join(cache, preload ? `${name}.so` : name)
    const flags = preload ? ['-shared', '-fPIC'] : []
    const input = join(native, source)
    if (!existsSync(product) || statSync(product).mtimeMs < statSync(input).mtimeMs) {
      execFileSync(tools.compiler, ['-std=gnu11', '-O1', '-Wall', '-Wextra', ...flags, '-o', product, input])
    }
    entries.set(`/lab/${basename(product)}`, { file: product })
    addLibraries(entries, product)
  }
}

/** The package as npm would install it below /lab, and the packages it and the comparison need. */
function addPackage(entries: Map<string, Entry>): void {
  const modules = '/lab/node_modules'
  addTree(entries, join(ROOT, 'dist'), `${modules}/daxkv/dist`)
  for (const file of ['package.json', 'binding.gyp', 'build/Release/daxkv.node']) {
    entries.set(`${modules}/daxkv/${file}`, { file: join(ROOT, file) })
  }
  addLibraries(entries, join(ROOT, 'build/Release/daxkv.node'))
  const waiting = [...dependenciesOf(ROOT), ...PEERS]
  const seen = new Set<string>()
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const directory = join(ROOT, 'node_modules', name)
    if (seen.has(name) || !existsSync(directory)) continue
    seen.add(name)
    addTree(entries, realpathSync(directory), `${modules}/${name}`)
    waiting.push(...dependenciesOf(directory))
  }
}

function dependenciesOf(directory: string): string[] {
  const description = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>
  }
  return Object.keys(description.dependencies ?? {}).filter((name) => name !== 'prebuild-install')
}

/** Sources, build intermediates and documents of the packages stay at home. */
const SKIPPED =
  /(better-sqlite3|lmdb)\/(deps|dependencies|src|dict)$|\/(obj|obj\.target|\.deps|test_extension\.node)$|\.(map|md|ts|cts|cc|cpp|h|a|o)$/

function addTree(entries: Map<string, Entry>, from: string, to: string): void {
  for (const item of readdirSync(from, { withFileTypes: true })) {
    const path = join(from, item.name)
    if (SKIPPED.test(path)) continue
    if (item.isDirectory()) addTree(entries, path, `${to}/${item.name}`)
    else if (item.isFile()) entries.set(`${to}/${item.name}`, { file: path })
    if (item.isFile() && item.name.endsWith('.node')) addLibraries(entries, path)
  }
}

/** Path, size and age of all files, and the texts. */
function fingerprint(entries: ReadonlyMap<string, Entry>): string {
  const hash = createHash('sha256')
  for (const [path, entry] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${path}\n`)
    if ('file' in entry) {
      const { size, mtimeMs } = statSync(entry.file)
      hash.update(`${entry.file} ${size} ${path === '/lab/guest.mjs' ? '' : mtimeMs}\n`)
      if (path === '/lab/guest.mjs') hash.update(readFileSync(entry.file))
    } else {
      hash.update(JSON.stringify(entry))
    }
  }
  return hash.digest('hex')
}

/** Directory of the laboratory's artefacts; git ignores it. */
export const CACHE = join(ROOT, '.cache', 'vm')

/**
 * The laboratory on a machine with real persistent memory, as root: a file system is made on the device, and what needs
 * no virtual machine is run there. Power is then cut by whoever stands beside it.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs' // prettier-ignore
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseLine } from '../protocol.js'
import type { Disk, Expectation, GuestLine, Job, Turn } from '../protocol.js'

/** So much at the beginning of the device must be zeros. */
const LOOKED_AT_BYTES = 16 * 1024 * 1024
const MODES = ['puts', 'transactions', 'deletes', 'growth', 'checkpoint', 'reopen']

/** A device that may be written to has been refused; the message says why and what to do. */
export class DeviceRefused extends Error {
  override name = 'DeviceRefused'
}

/**
 * Refuses whatever is not an unused block device: mounted, part of something else, or with data on it.
 * @throws DeviceRefused
 */
export function assertUnusedDevice(name: string): void {
  const stat = statSync(name, { throwIfNoEntry: false })
  if (stat === undefined) throw new DeviceRefused(`${name} does not exist`)
  const device = realpathSync(name)
  if (!stat.isBlockDevice())
    throw new DeviceRefused(`${device} is no block device (make an fsdax namespace: /dev/pmem0)`)
  assertNotMounted(device, readFileSync('/proc/self/mounts', 'utf8'))
  assertExclusive(device)
  const block = `/sys/class/block/${basename(device)}`
  const holders = readdirSync(join(block, 'holders'))
  if (holders.length > 0) throw new DeviceRefused(`${device} is used by ${holders.join(', ')}`)
  if (readdirSync(block).some((name) => name.startsWith(basename(device)))) {
    throw new DeviceRefused(`${device} has partitions`)
  }
  const signature = spawnSync('blkid', ['-p', device], { encoding: 'utf8' })
  if (signature.error !== undefined) throw new DeviceRefused(`blkid cannot be asked about ${device}: ${signature.error.message}`) // prettier-ignore
  // 2: nothing found
  if (signature.status !== 2) throw new DeviceRefused(`${device} has data on it: ${signature.stdout.trim()}`)
  assertBlank(device)
}

/** @throws DeviceRefused when the device is mounted, under its own name. */
export function assertNotMounted(device: string, mounts: string): void {
  const mounted = mounts.split('\n').find((line) => line.startsWith(`${device} `))
  if (mounted !== undefined) throw new DeviceRefused(`${device} is mounted at ${mounted.split(' ')[1]}`)
}

/** The kernel's answer, whatever name it is in use by: a file system, swap, RAID, device-mapper. */
function assertExclusive(device: string): void {
  try {
    closeSync(openSync(device, constants.O_RDONLY | constants.O_EXCL))
  } catch (error) {
    throw new DeviceRefused(
      `${device} cannot be had exclusively: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

/** @throws DeviceRefused when the beginning of the device is not all zeros: data without a known signature. */
export function assertBlank(device: string): void {
  const bytes = Buffer.alloc(LOOKED_AT_BYTES)
  const fd = openSync(device, 'r')
  let length = 0
  try {
    for (let got = -1; got !== 0 && length < bytes.length; length += got) got = readSync(fd, bytes, length, bytes.length - length, length) // prettier-ignore
  } finally {
    closeSync(fd)
  }
  const at = bytes.subarray(0, length).findIndex((byte) => byte !== 0)
  if (at < 0) return
  throw new DeviceRefused(
    `${device} has data on it (byte ${at} is not zero); if it may be lost, clear the device first: ` +
      `wipefs -a ${device} && dd if=/dev/zero of=${device} bs=1M count=${LOOKED_AT_BYTES / 1024 / 1024}`,
  )
}

/** What to do with the device. */
export type DeviceAction =
  /** Rules, writers killed and verified, comparison. */
  | { readonly what: 'suites'; readonly seed: number }
  /** A writer until the power fails. */
  | { readonly what: 'write'; readonly mode: string; readonly seed: number }
  /** What the power cut has left. */
  | { readonly what: 'verify'; readonly expectation: Expectation }

/** Takes what the program reports, and for a pool what is expected of it. */
type Take = (line: GuestLine, expectation?: Expectation) => void

/** Runs the guest's program (`program`) on this machine; gives each line that it reports. */
export async function onDevice(device: string, program: string, action: DeviceAction, take: Take): Promise<void> {
  if (process.getuid?.() !== 0) throw new DeviceRefused('--device needs root: it makes and mounts a file system')
  const disk: Disk = { index: 0, fileSystem: 'ext4', access: 'dax', device }
  const folder = mkdtempSync(join(tmpdir(), 'daxkv-device-'))
  const mountPoint = join(folder, 'disk0')
  const job = (tasks: Job, until?: (line: GuestLine) => boolean): Promise<void> =>
    runLocally(program, folder, tasks, take, until)
  const verify = ({ mode, ...rest }: Expectation): Promise<void> =>
    runLocally(program, folder, [{ task: 'verify', disk, image: 0, modes: [mode] }], (line) =>
      take(line, { mode, ...rest }),
    )
  try {
    if (action.what === 'verify') {
      assertNotMounted(device, readFileSync('/proc/self/mounts', 'utf8'))
      await verify(action.expectation)
      return
    }
    assertUnusedDevice(device)
    execFileSync('mkfs.ext4', ['-q', '-b', '4096', device], { stdio: 'inherit' })
    if (action.what === 'write') {
      await job([{ task: 'write', turns: [{ disk, mode: action.mode, seed: action.seed, seconds: 1e9, writer: 0 }] }])
      return
    }
    await job([{ task: 'rules', disk }])
    unmount(mountPoint)
    // Each mode is killed once; the kernel goes on, so this shows atomicity, not durability
    for (const [writer, mode] of MODES.entries()) {
      const turn: Turn = { disk, mode, seed: action.seed + writer, seconds: 60, writer }
      let acknowledged = 0
      await job([{ task: 'write', turns: [turn] }], (line) => {
        if (line.kind === 'ack') acknowledged = line.step
        return acknowledged >= 500
      })
      unmount(mountPoint)
      await verify({ mode, seed: turn.seed, acknowledged })
    }
    await job([{ task: 'compare', disk, puts: 200 }])
  } finally {
    unmount(mountPoint)
    rmSync(folder, { recursive: true, force: true })
  }
}

function unmount(mountPoint: string): void {
  spawnSync('umount', [mountPoint], { stdio: 'ignore' })
}

/** A process of the guest's program; with `until`, killed as soon as a line fits. */
function runLocally(
  program: string,
  folder: string,
  tasks: Job,
  take: Take,
  until?: (line: GuestLine) => boolean,
): Promise<void> {
  const file = join(folder, 'job.json')
  writeFileSync(file, JSON.stringify(tasks))
  const env = { ...process.env, DAXKV_VM_JOB: file, DAXKV_VM_CHANNEL: 'stdout', DAXKV_VM_MOUNTS: folder }
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    let text = ''
    let enough = false
    child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const each of lines) {
        const line = parseLine(each)
        if (line === undefined) continue
        if (until === undefined) take(line)
        else if (until(line)) enough = child.kill('SIGKILL') || enough
      }
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0 || enough) resolve()
      else reject(new Error(`the laboratory's program ended with ${String(code)}`))
    })
  })
}

/**
 * One virtual machine, as software emulation: no /dev/kvm is used, so it runs wherever QEMU does. Its second serial port
 * is the channel on which the guest reports and acknowledges; what its kernel says goes to a file.
 */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseLine } from '../protocol.js'
import type { GuestLine, Job } from '../protocol.js'
import type { Tools } from './packages.js'
import { Qmp } from './qmp.js'

export interface MachineOptions {
  readonly tools: Tools
  readonly initramfs: string
  readonly job: Job
  /** Backing files of the NVDIMMs, in the order of their physical addresses. */
  readonly nvdimms?: readonly string[]
  readonly nvdimmBytes?: number
  /** What the firmware says about the platform: eADR, ADR, or nothing at all. Default mem-ctrl. */
  readonly persistence?: 'cpu' | 'mem-ctrl' | 'absent'
  /** Backing files of ordinary disks: /dev/vda, /dev/vdb ... */
  readonly disks?: readonly string[]
  readonly virtioPmem?: string
  /** Further words for the kernel's command line. */
  readonly kernelOptions?: string
  readonly memoryMib?: number
  /** The guest must have ended by then. Default 20 minutes: a busy machine emulates slowly. */
  readonly timeoutMs?: number
}

const alive = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

export class Machine {
  /** All whole lines so far. */
  readonly lines: GuestLine[] = []
  readonly #child: ChildProcess
  readonly #directory: string
  readonly #qmp: Qmp
  readonly #ended: Promise<void>
  readonly #listeners = new Set<() => void>()
  #running = true
  #killed = false
  #errors = ''

  private constructor(options: MachineOptions) {
    this.#directory = mkdtempSync(join(tmpdir(), 'daxkv-vm-'))
    writeFileSync(join(this.#directory, 'job.json'), JSON.stringify(options.job))
    const parameters = ['-n', '15', options.tools.qemu, ...qemuParameters(options, this.#directory)]
    const child = spawn('nice', parameters, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    alive.add(child)
    this.#qmp = new Qmp(join(this.#directory, 'qmp'))
    let text = ''
    child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
      const lines = text.split('\n')
      // The last one is not terminated: power may have failed in the middle of it.
      text = lines.pop() ?? ''
      for (const line of lines) this.#take(line.replace(/\r$/, ''))
      this.#wake()
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (this.#errors += chunk))
    const timer = setTimeout(() => {
      this.#errors += 'the guest did not end in time'
      child.kill('SIGKILL')
    }, options.timeoutMs ?? 1_200_000)
    this.#ended = new Promise((resolve) => {
      child.on('error', (error) => (this.#errors += error.message))
      child.on('close', () => {
        clearTimeout(timer)
        alive.delete(child)
        this.#running = false
        this.#qmp.close()
        this.#wake()
        resolve()
      })
    })
  }

  static start(options: MachineOptions): Machine {
    return new Machine(options)
  }

  /** Boots a machine, lets it do its job and power off, and returns what it reported. */
  static async run(options: MachineOptions): Promise<readonly GuestLine[]> {
    const machine = new Machine(options)
    try {
      await machine.ended()
    } finally {
      machine.dispose()
    }
    return machine.lines
  }

  /** Resolves when the guest has powered off; rejects when its job failed. */
  async ended(): Promise<void> {
    await this.#ended
    const failed = this.lines.find((line) => line.kind === 'failed')
    if (failed !== undefined) throw new Error(`the guest failed: ${failed.message}\n${this.consoleTail()}`)
    if (!this.#killed && !this.lines.some((line) => line.kind === 'done')) {
      throw new Error(`the guest ended before its job did: ${this.#errors}\n${this.consoleTail()}`)
    }
  }

  /** Waits for a line that fits, from index `from` on; returns the index after it. Rejects when the guest ends first. */
  async until(fits: (line: GuestLine) => boolean, from = 0): Promise<number> {
    for (let next = from; ;) {
      for (; next < this.lines.length; next++) if (fits(this.lines[next])) return next + 1
      if (!this.#running) {
        await this.ended()
        throw new Error(`the guest ended without the line waited for\n${this.consoleTail()}`)
      }
      await new Promise<void>((resolve) => this.#listeners.add(resolve))
    }
  }

  /** Sends bytes to the guest's second serial port. */
  send(text: string): void {
    this.#child.stdin?.write(text)
  }

  /**
   * Power cut of a copy: the processors stop, the backing file is copied, they go on. Lines received until `copied`
   * is called were written before the cut.
   */
  async snapshot(copies: ReadonlyMap<string, string>, copied: () => void): Promise<void> {
    await this.#qmp.execute('stop')
    // What the guest had written is on its way through the pipe.
    await new Promise((resolve) => setTimeout(resolve, 20))
    for (const [from, to] of copies) copySparse(from, to)
    copied()
    await this.#qmp.execute('cont')
  }

  /** Power cut: the process is killed; everything but the backing files is gone. */
  async cut(): Promise<void> {
    this.#killed = true
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** Last lines of the kernel's console, for messages. */
  consoleTail(): string {
    try {
      const text = readFileSync(join(this.#directory, 'console'), 'latin1')
      return text.replaceAll('\r', '').split('\n').slice(-25).join('\n')
    } catch {
      return ''
    }
  }

  dispose(): void {
    if (this.#running) this.#child.kill('SIGKILL')
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #take(text: string): void {
    const line = parseLine(text)
    if (line !== undefined) this.lines.push(line)
  }

  #wake(): void {
    const listeners = [...this.#listeners]
    this.#listeners.clear()
    for (const listener of listeners) listener()
  }
}

function qemuParameters(options: MachineOptions, directory: string): string[] {
  const nvdimms = options.nvdimms ?? []
  const bytes = options.nvdimmBytes ?? NVDIMM_BYTES
  const persistence = options.persistence ?? 'mem-ctrl'
  const memory = options.memoryMib ?? 1536
  const firmware = persistence === 'absent' ? '' : `,nvdimm-persistence=${persistence}`
  const parameters = [
    ...['-machine', `q35,nvdimm=on${firmware}`, '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2'],
    ...['-m', `${memory}M,slots=32,maxmem=64G`, '-display', 'none', '-nodefaults', '-no-reboot'],
    ...['-serial', `file:${join(directory, 'console')}`, '-serial', 'stdio'],
    ...['-qmp', `unix:${join(directory, 'qmp')},server=on,wait=off`],
    ...['-fw_cfg', `name=opt/daxkv/job,file=${join(directory, 'job.json')}`],
    ...['-kernel', options.tools.kernel.image, '-initrd', options.initramfs],
    // On a busy machine the kernel would take a late timer for a broken one
    ...['-append', `console=ttyS0 quiet panic=-1 no_timer_check nowatchdog ${options.kernelOptions ?? ''}`],
  ]
  nvdimms.forEach((path, index) => {
    parameters.push('-object', `memory-backend-file,id=mem${index},share=on,mem-path=${path},size=${bytes}`)
    parameters.push('-device', `nvdimm,id=nv${index},memdev=mem${index}`)
  })
  options.disks?.forEach((path, index) => {
    parameters.push('-drive', `file=${path},format=raw,if=none,id=disk${index},cache=writeback`)
    parameters.push('-device', `virtio-blk-pci,drive=disk${index}`)
  })
  if (options.virtioPmem !== undefined) {
    parameters.push('-object', `memory-backend-file,id=vp,share=on,mem-path=${options.virtioPmem},size=${bytes}`)
    parameters.push('-device', 'virtio-pmem-pci,memdev=vp,id=vpmem')
  }
  return parameters
}

/** Enough for XFS, which wants more than 300 MB. */
export const NVDIMM_BYTES = 512 * 1024 * 1024

/** Copies an image, holes as holes. */
export function copySparse(from: string, to: string): void {
  execFileSync('cp', ['--sparse=always', '--', from, to])
}

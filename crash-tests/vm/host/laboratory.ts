/** What the suites share: the tools, the initramfs, a folder for images, and a word with the user. */
import { mkdirSync, mkdtempSync, openSync, closeSync, ftruncateSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { GuestLine, Job, ResultLine } from '../protocol.js'
import { Machine, NVDIMM_BYTES } from './machine.js'
import type { MachineOptions } from './machine.js'
import type { Tools } from './packages.js'

export type Amount = 'smoke' | 'default' | 'long'

/** One line of the summary. */
export interface Row {
  readonly suite: string
  readonly name: string
  readonly ok: boolean
  readonly detail: string
  /** Power-cut images that stand behind it. */
  readonly images?: number
}

export class Laboratory {
  readonly rows: Row[] = []
  readonly folder: string
  #boots = 0

  constructor(
    readonly tools: Tools,
    readonly initramfs: string,
    cache: string,
    readonly amount: Amount,
    readonly seed: number,
    /** One line about what is going on. */
    readonly progress: (text: string) => void,
    readonly announce: (row: Row) => void,
  ) {
    mkdirSync(cache, { recursive: true })
    this.folder = mkdtempSync(join(cache, 'run-'))
  }

  get boots(): number {
    return this.#boots
  }

  /** Path of a new, empty image: a file with nothing but a hole. */
  image(name: string, bytes = NVDIMM_BYTES): string {
    const path = join(this.folder, name)
    const fd = openSync(path, 'w')
    ftruncateSync(fd, bytes)
    closeSync(fd)
    return path
  }

  start(job: Job, options: Partial<MachineOptions>): Machine {
    this.#boots++
    return Machine.start({ tools: this.tools, initramfs: this.initramfs, job, ...options })
  }

  /** Boots a guest, lets it do the job to its end, and returns what it reported. */
  async run(job: Job, options: Partial<MachineOptions>): Promise<readonly GuestLine[]> {
    this.#boots++
    return Machine.run({ tools: this.tools, initramfs: this.initramfs, job, ...options })
  }

  add(row: Row): void {
    this.rows.push(row)
    this.announce(row)
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export function results(lines: readonly GuestLine[]): ResultLine[] {
  return lines.filter((line) => line.kind === 'result')
}

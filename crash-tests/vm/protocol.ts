/** What host and guest tell each other: a job on the way in, lines of JSON and acknowledgements on the way out. */
import type { Granularity, Persistence } from '../../src/index.js'

export type FileSystem = 'ext4' | 'xfs'

/** How a file system is mounted: flushed from user space, or through the guest's page cache, which a power cut takes. */
export type Access = 'dax' | 'page-cache'

/** A file system on an NVDIMM of the machine. */
export interface Disk {
  /** Place of the NVDIMM among the physical addresses. */
  readonly index: number
  readonly fileSystem: FileSystem
  readonly access: Access
  /** An ordinary disk instead. */
  readonly device?: string
}

/** One writer's turn. */
export interface Turn {
  readonly disk: Disk
  /** Name of a mode, see guest/modes.ts. */
  readonly mode: string
  readonly seed: number
  readonly seconds: number
  /** Most steps; default no limit. */
  readonly steps?: number
  /** Steps that the pool holds already: a later life of it. Default 0. */
  readonly done?: number
  /** Number that its acknowledgements carry. */
  readonly writer: number
  /** Granularity forced on the store: finer than the medium's makes a writer that is known to lose. */
  readonly forceGranularity?: Granularity
}

/** What the host knows about a writer whose power was cut: the newest step it was told to be durable, 0 for none. */
export interface Expectation {
  readonly mode: string
  readonly seed: number
  readonly acknowledged: number
}

export type Task =
  | { readonly task: 'format'; readonly disk: Disk }
  | { readonly task: 'write'; readonly turns: readonly Turn[] }
  | {
      readonly task: 'verify'
      readonly disk: Disk
      readonly image: number
      readonly modes: readonly string[]
    }
  | {
      readonly task: 'naive'
      readonly disk: Disk
      readonly kinds: readonly string[]
      readonly records: number
    }
  | { readonly task: 'count'; readonly disk: Disk; readonly kind: string; readonly image: number }
  | { readonly task: 'matrix'; readonly set: 'full' | 'smoke' | 'eadr' | 'unreported' }
  | { readonly task: 'rules'; readonly disk: Disk }
  /** The turn in a process of its own that stops before each system call until the host sends a byte. */
  | { readonly task: 'write-by-calls'; readonly turn: Turn }
  | { readonly task: 'log-writes'; readonly seed: number; readonly steps: number; readonly stepsEachMark: number }
  | { readonly task: 'flakey'; readonly seed: number }
  | { readonly task: 'compare'; readonly disk: Disk; readonly puts: number }
  | { readonly task: 'wait' }

export type Job = readonly Task[]

/** The part of a report on persistence that the matrix compares. */
export interface Found extends Pick<Persistence, 'mapSync' | 'persistenceDomain' | 'flushInstruction'> {
  readonly granularity: Granularity
}

/** A row of a table: something tried, with what it gave. */
export interface ResultLine {
  readonly kind: 'result'
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

/** What an image held. */
export interface VerifiedLine {
  readonly kind: 'verified'
  readonly image: number
  readonly mode: string
  /** Of the content (guest/content.ts); `no pool` when there is none. */
  readonly digest: string
  /** What open, check and close had to say; empty when all is well. */
  readonly problem: string
  readonly recovery: string
  readonly granularity: string
}

export type GuestLine =
  | { readonly kind: 'ack'; readonly writer: number; readonly step: number }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'started'; readonly writer: number }
  | { readonly kind: 'finished'; readonly writer: number; readonly steps: number }
  | { readonly kind: 'call'; readonly text: string }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'counted'; readonly image: number; readonly kept: number }
  | ResultLine
  | VerifiedLine
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'done' }

/** A whole line from the channel; undefined for an empty one. */
export function parseLine(line: string): GuestLine | undefined {
  if (line === '') return undefined
  const acknowledgement = /^a (\d+) (\d+)$/.exec(line)
  if (acknowledgement !== null) {
    return { kind: 'ack', writer: Number(acknowledgement[1]), step: Number(acknowledgement[2]) }
  }
  return line.startsWith('{') ? (JSON.parse(line) as GuestLine) : { kind: 'text', text: line }
}

import { readFileSync } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Granularity } from '../../src/pmem/persistent-memory.js'
import type { Logging } from '../../src/tx/committer.js'

/** What `--replay FILE` needs to recover and judge one crash image again, without making it anew. */
export interface ReplayData {
  readonly version: 1
  /** Crash point and the lines that were not in their newest version. */
  readonly where: string
  readonly message: string
  readonly granularity: Granularity
  readonly logPages: number
  /** Logging of the engine that recovers. */
  readonly logging?: Logging
  /** Contents (digests) that the image may recover to. */
  readonly allowed: readonly string[]
  /** The image, compressed, in base 64. */
  readonly image: string
}

export function packImage(image: Uint8Array): string {
  return gzipSync(image).toString('base64')
}

export function unpackImage(packed: string): Buffer {
  return gunzipSync(Buffer.from(packed, 'base64'))
}

/** Reads a replay file; throws with what is wrong with it. */
export function readReplayFile(path: string): ReplayData {
  const data = JSON.parse(readFileSync(path, 'utf8')) as Partial<ReplayData>
  if (data.version !== 1 || typeof data.image !== 'string' || !Array.isArray(data.allowed)) {
    throw new Error(`${path} is no replay file of the crash tests`)
  }
  return data as ReplayData
}

/**
 * Which granularity of persistence a file has. Only the kernel's answer to MAP_SYNC on the file itself counts; nothing
 * is inferred from mount options, paths, device names or statx.
 */
import fs from 'node:fs'
import path from 'node:path'
import { DaxkvError } from '../errors.js'
import type { Granularity, Persistence } from './persistent-memory.js'

const ORDER: readonly Granularity[] = ['byte', 'cache-line', 'page']

/** `struct pool`'s numbers: 0 byte, 1 cache-line, 2 page. Larger is coarser. */
export function granularityRank(granularity: Granularity): number {
  return ORDER.indexOf(granularity)
}

/**
 * The platform's persistence domain: `cpu_cache` (eADR) only if every persistent-memory region says so, because the
 * file may lie on any of them; `memory_controller` (ADR) if every region says at least that; else `unknown`.
 */
export function readPersistenceDomain(sysfsRoot = '/sys'): string {
  const devices = path.join(sysfsRoot, 'bus/nd/devices')
  let regions: string[]
  try {
    regions = fs.readdirSync(devices).filter((name) => /^region\d+$/.test(name))
  } catch {
    return 'unknown'
  }
  const domains = regions.map((region) => readWord(path.join(devices, region, 'persistence_domain')))
  if (domains.length === 0) return 'unknown'
  if (domains.every((domain) => domain === 'cpu_cache')) return 'cpu_cache'
  return domains.every((domain) => domain === 'cpu_cache' || domain === 'memory_controller')
    ? 'memory_controller'
    : 'unknown'
}

function readWord(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8').trim()
  } catch {
    // virtio-pmem and legacy regions have no such file
    return ''
  }
}

/** What was found out about a file. */
export interface MediumFacts {
  readonly path: string
  readonly mapSync: boolean
  /** Errno name of the refusal of MAP_SYNC. */
  readonly mapSyncErrno?: string
  readonly persistenceDomain: string
  /** Instruction that reaches the persistence domain; empty if this CPU has none. */
  readonly flushInstruction: string
}

/** Granularity the facts give, and one sentence why. */
export function detectGranularity(facts: MediumFacts): { granularity: Granularity; reason: string } {
  if (!facts.mapSync) {
    const errno = facts.mapSyncErrno ?? 'EOPNOTSUPP'
    return {
      granularity: 'page',
      reason: `the kernel refused MAP_SYNC for this file (${errno}): it is not on a DAX file system of synchronous persistent memory, so msync is needed`,
    }
  }
  if (facts.persistenceDomain === 'cpu_cache') {
    return {
      granularity: 'byte',
      reason: 'MAP_SYNC granted and every region reports cpu_cache (eADR): a fence is enough',
    }
  }
  if (facts.flushInstruction === '') {
    return {
      granularity: 'page',
      reason: 'MAP_SYNC granted, but this CPU has no instruction that flushes to the point of persistence',
    }
  }
  return {
    granularity: 'cache-line',
    reason: `MAP_SYNC granted: ${facts.flushInstruction} and a fence make a store durable (persistence domain: ${facts.persistenceDomain})`,
  }
}

/** What the user asked for. */
export interface GranularityRequest {
  /** Coarsest level the user accepts. */
  readonly requireGranularity?: Granularity | undefined
  /** Test override; always visible in `Persistence.forced`. */
  readonly forceGranularity?: Granularity | undefined
}

/**
 * Decides the granularity and reports why.
 * @throws DaxkvError GRANULARITY_UNAVAILABLE when the detected (or the forced) level is coarser than the required one;
 * a forced level never satisfies a requirement that the medium does not.
 */
export function decidePersistence(facts: MediumFacts, request: GranularityRequest): Persistence {
  const detected = detectGranularity(facts)
  const granularity = request.forceGranularity ?? detected.granularity
  const coarsest = Math.max(granularityRank(granularity), granularityRank(detected.granularity))
  const required = request.requireGranularity
  if (required !== undefined && coarsest > granularityRank(required)) {
    throw new DaxkvError(
      'GRANULARITY_UNAVAILABLE',
      `${facts.path} has granularity ${ORDER[coarsest]}, but ${required} or finer was required: ${detected.reason}`,
      { path: facts.path, limit: granularityRank(required), actual: coarsest },
    )
  }
  const forced = request.forceGranularity !== undefined
  return {
    granularity,
    detectedGranularity: detected.granularity,
    forced,
    flushInstruction: flushName(granularity, facts.flushInstruction),
    persistenceDomain: facts.persistenceDomain,
    mapSync: facts.mapSync,
    executor: 'native',
    reason: forced
      ? `forced to ${granularity} by forceGranularity (detected ${detected.granularity}: ${detected.reason})`
      : detected.reason,
  }
}

function flushName(granularity: Granularity, instruction: string): string {
  if (granularity === 'page') return 'msync'
  return granularity === 'byte' || instruction === '' ? 'none' : instruction
}

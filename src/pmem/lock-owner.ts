/** Who holds a lock file, and whether that process still lives: what a kernel lock would know by itself. */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'

/** The content of an owner's file, as JSON. Fields a platform does not tell are empty. */
export interface LockOwner {
  readonly pid: number
  /** Clock ticks from boot to the start of the process (Linux): a pid that was given out again has another one. */
  readonly startTime: string
  /** Changes with every boot (Linux). */
  readonly bootId: string
  /** A pid means something only within its host and pid namespace. */
  readonly host: string
  readonly pidNamespace: string
  readonly since: string
  /** Tells this lock from every other one. */
  readonly token: string
}

/** `unknown`: a process of another host or container, which cannot be looked at from here. */
export type OwnerState = 'this process' | 'alive' | 'dead' | 'unknown'

/** This process as the owner of a new lock. */
export function currentOwner(): LockOwner {
  return {
    pid: process.pid,
    startTime: processStatus(process.pid)?.startTime ?? '',
    bootId: readWord('/proc/sys/kernel/random/boot_id'),
    host: os.hostname(),
    pidNamespace: pidNamespace(),
    since: new Date().toISOString(),
    token: randomBytes(8).toString('hex'),
  }
}

/** An owner read back; undefined when the text is no owner. */
export function parseOwner(text: string): LockOwner | undefined {
  try {
    const { pid, startTime, bootId, host, pidNamespace, since, token } = JSON.parse(text) as Record<string, unknown>
    if (!Number.isSafeInteger(pid) || (pid as number) <= 0 || !/^[0-9a-f]{16}$/.test(String(token))) return undefined
    const strings = [startTime, bootId, host, pidNamespace, since]
    if (!strings.every((value) => typeof value === 'string')) return undefined
    return JSON.parse(text) as LockOwner // its fields were checked above
  } catch {
    return undefined
  }
}

/**
 * Whether the owner still lives. Doubt is `unknown` or `alive`, never `dead`: taking over the pool of a living process
 * would destroy it, asking the user only costs time.
 */
export function ownerState(owner: LockOwner): OwnerState {
  const here = currentOwner()
  if (owner.host !== here.host) return 'unknown'
  if (owner.bootId !== here.bootId) return owner.bootId === '' || here.bootId === '' ? 'unknown' : 'dead'
  if (owner.pidNamespace !== here.pidNamespace) return 'unknown'
  if (!processExists(owner.pid)) return 'dead'
  const status = processStatus(owner.pid)
  if (status !== undefined && owner.startTime !== '') {
    if (status.startTime !== owner.startTime) return 'dead'
    // A zombie has given its mappings back; only its parent has not looked yet.
    if (status.state === 'Z' || status.state === 'X') return 'dead'
  }
  return owner.pid === here.pid ? 'this process' : 'alive'
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** From /proc/PID/stat; undefined where there is none. */
function processStatus(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  const text = readWord(`/proc/${pid}/stat`)
  // The name in parentheses may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state] = fields
  const startTime = fields.at(19)
  return startTime === undefined || !/^\d+$/.test(startTime) ? undefined : { state, startTime }
}

function pidNamespace(): string {
  try {
    return fs.readlinkSync('/proc/self/ns/pid')
  } catch {
    return '' // not Linux, or /proc is not mounted
  }
}

function readWord(file: string): string {
  try {
    return fs.readFileSync(file, 'latin1').trim()
  } catch {
    return ''
  }
}

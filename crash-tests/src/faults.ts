/**
 * Command over the calls that may fail: those of the addon's test build, and the file functions of Node that the store
 * uses in JavaScript. Works only where the store was bundled with the test build (test-addon.ts).
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { constants } from 'node:os'
import { nativeAddon } from '../../src/pmem/native-binding.js'

/** In the order of `enum call` in crash-tests/native/faulty-syscalls.c. */
export const NATIVE_CALLS = [
  'map',
  'unmap',
  'advise',
  'msync',
  'fdatasync',
  'fsync',
  'write-back',
  'ftruncate',
  'fstat',
  'pwrite',
  'lock',
  'duplicate',
  'close',
  'list-extents',
  'seek',
  'reopen',
  'operation',
] as const

export const FILE_CALLS = [
  'openSync',
  'fstatSync',
  'readSync',
  'writeSync',
  'fsyncSync',
  'linkSync',
  'unlinkSync',
  'closeSync',
] as const

export type NativeCall = (typeof NATIVE_CALLS)[number]
export type FileCall = (typeof FILE_CALLS)[number]
export type FaultCall = NativeCall | FileCall

/** What happens at the call: it fails, does half (a success), or the process ends before or after it. */
export const FAULT_ACTIONS = ['fail', 'short', 'kill-before', 'kill-after'] as const
export type FaultAction = (typeof FAULT_ACTIONS)[number]

export interface FaultRule {
  readonly call: FaultCall
  /** Calls of this kind, counted from 1 since the rule was set, both included. */
  readonly first: number
  readonly last: number
  readonly action: FaultAction
  /** Errno name, for `fail`. */
  readonly errno?: string
}

/** `last` of a rule that never ends. */
export const FOR_EVER = 2 ** 32 - 1

interface TestAddon {
  faultsSet(call: number, first: number, last: number, errno: number, action: number): void
  faultsMade(): Float64Array
  faultsHeld(): Float64Array
}

function addon(): TestAddon {
  const loaded = nativeAddon() as unknown as Partial<TestAddon>
  if (loaded.faultsSet === undefined) throw new Error('the store in this process has the production addon')
  return loaded as TestAddon
}

let counting = false
let fileRule: FaultRule | undefined
const fileMade = new Map<FileCall, number>()
let fileHits = 0

/** Counts calls from 0 on, and lets those fail that the rule names. */
export function setFault(rule?: FaultRule): void {
  const native = rule === undefined ? -1 : NATIVE_CALLS.indexOf(rule.call as NativeCall)
  const action = rule === undefined ? 0 : FAULT_ACTIONS.indexOf(rule.action)
  addon().faultsSet(
    native < 0 ? NATIVE_CALLS.length : native,
    rule?.first ?? 0,
    rule?.last ?? 0,
    errnoNumber(rule?.errno),
    action,
  )
  patchFiles()
  fileRule = native < 0 ? rule : undefined
  fileMade.clear()
  fileHits = 0
  counting = true
}

/** Nothing fails any more. Returns how often each call was made since `setFault`, and how often the rule was met. */
export function clearFault(): { readonly made: ReadonlyMap<FaultCall, number>; readonly hits: number } {
  const numbers = addon().faultsMade()
  const made = new Map<FaultCall, number>(fileMade)
  NATIVE_CALLS.forEach((call, index) => made.set(call, numbers[index]))
  const hits = numbers[NATIVE_CALLS.length] + fileHits
  addon().faultsSet(NATIVE_CALLS.length, 0, 0, 0, 0)
  fileRule = undefined
  counting = false
  return { made, hits }
}

/** What the store holds of the system now; equal before opening and after closing, or something leaked. */
export function heldNow(): string {
  const [mappedBytes, descriptors] = addon().faultsHeld()
  const open = fs.readdirSync('/proc/self/fd').length
  const mapped = fs.readFileSync('/proc/self/maps', 'latin1').split('\n')
  const files = mapped.filter((line) => /\.pool\b/.test(line)).length
  return `${mappedBytes} bytes and ${files} pool ranges mapped, ${descriptors} duplicates, ${open} descriptors`
}

function errnoNumber(name: string | undefined): number {
  if (name === undefined) return 0
  return constants.errno[name as keyof typeof constants.errno]
}

type AnyFunction = (...parameters: unknown[]) => unknown

let patched = false

/** Node's exports are live: modules that imported the functions by name see these from here on. */
function patchFiles(): void {
  if (patched) return
  patched = true
  const functions = fs as unknown as Record<FileCall, AnyFunction>
  for (const call of FILE_CALLS) {
    const real = functions[call].bind(fs)
    functions[call] = (...parameters) => {
      if (!counting) return real(...parameters)
      const number = (fileMade.get(call) ?? 0) + 1
      fileMade.set(call, number)
      const rule = fileRule
      if (rule?.call !== call || number < rule.first || number > rule.last) return real(...parameters)
      fileHits++
      return faulty(call, rule, real, parameters)
    }
  }
  syncBuiltinESMExports()
}

function faulty(call: FileCall, rule: FaultRule, real: AnyFunction, parameters: unknown[]): unknown {
  switch (rule.action) {
    case 'kill-before':
    case 'kill-after':
      if (rule.action === 'kill-after') real(...parameters)
      process.kill(process.pid, 'SIGKILL')
      return undefined
    case 'short': {
      // fd, buffer, offset, length, position: half of the length.
      const [fd, buffer, offset, length, position] = parameters as [number, Buffer, number, number, number]
      return real(fd, buffer, offset, length > 1 ? length >>> 1 : length, position)
    }
    case 'fail': {
      // As Linux does it: whatever close reports, the descriptor is gone.
      if (call === 'closeSync') real(...parameters)
      const errno = rule.errno ?? 'EIO'
      const error: NodeJS.ErrnoException = new Error(`${errno}: injected, ${call.replace('Sync', '')}`)
      error.code = errno
      error.errno = -errnoNumber(errno)
      error.syscall = call.replace('Sync', '')
      throw error
    }
  }
}

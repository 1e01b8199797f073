import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CallSite } from './types.js'

/** Frames kept of a call: its own place and a few callers. */
const MOST_SITES = 4
/** Name of the function that calls the user's code: frames below it are ours. */
const BOUNDARY = 'callUserCode'
const FRAME = /^\s*at (?:(.*?) \()?([^()]+):(\d+):(\d+)\)?$/

/** The boundary; see `callSites`. */
export function callUserCode<T>(code: () => T): T {
  return code()
}

/** Where `callee` was called from, innermost place first, without frames of Node and of the kit. */
export function callSites(callee: (...parameters: never[]) => unknown): CallSite[] {
  const holder: { stack?: string } = {}
  const limit = Error.stackTraceLimit
  // User code may lie below deep frames of a test runner only; a handful is enough for what is shown.
  Error.stackTraceLimit = 12
  try {
    // Leaves out everything above the user's call, whatever files it lies in.
    Error.captureStackTrace(holder, callee)
    return parseStack(holder.stack ?? '')
  } finally {
    Error.stackTraceLimit = limit
  }
}

function parseStack(stack: string): CallSite[] {
  const sites: CallSite[] = []
  for (const text of stack.split('\n')) {
    const match = FRAME.exec(text)
    if (match === null) continue
    const [, name = '', place, line, column] = match
    if (name.endsWith(BOUNDARY)) break
    if (place.startsWith('node:')) continue
    sites.push({
      file: place.startsWith('file:') ? fileURLToPath(place) : place,
      line: Number(line),
      column: Number(column),
      functionName: name.replace(/^(?:async|new|Object\.) ?/, '').replace(/^<anonymous>$/, ''),
    })
    if (sites.length === MOST_SITES) break
  }
  return sites
}

/** `transfer (ledger.ts:31:14)`, from the working directory where the file lies below it. */
export function formatSite({ file, line, column, functionName }: CallSite): string {
  const short = relative(process.cwd(), file)
  const shown = short !== '' && !short.startsWith(`..${sep}`) ? short : file
  const place = `${shown}:${line}:${column}`
  return functionName === '' ? place : `${functionName} (${place})`
}

/** What the kernel knows about this process. Every figure is absent where the kernel does not tell. */
import { readFileSync } from 'node:fs'

const MIB = 2 ** 20

/** Most memory the process ever had, harness included. */
export function peakMemoryMib(): number {
  return process.resourceUsage().maxRSS / 1024
}

/** Memory of this process alone, and pages of the mapped store that it has touched (or the kernel mapped around them). */
export function residentMib(path: string): { readonly privateMib: number; readonly mappedMib: number } | undefined {
  try {
    const anonymous = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))
    let mappedKib = 0
    let ofStore = false
    for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
      // A mapping's first line begins with its addresses and ends with its file; the others with a name and a colon.
      if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) ofStore = line.includes(path)
      else if (ofStore && line.startsWith('Rss:')) mappedKib += Number.parseInt(line.slice(4), 10)
    }
    if (anonymous === null) return undefined
    return { privateMib: (Number(anonymous[1]) * 1024) / MIB, mappedMib: (mappedKib * 1024) / MIB }
  } catch {
    return undefined
  }
}

/** Bytes this process has caused to be sent to a device so far; 0 for ever on tmpfs. */
export function writtenBytes(): number | undefined {
  try {
    const match = /^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'latin1'))
    return match === null ? undefined : Number(match[1])
  } catch {
    return undefined
  }
}

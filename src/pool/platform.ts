import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Sum of the unsafe-shutdown counters (dirty shutdown counts) of the machine's NVDIMMs, 0 where none can be read.
 * The counter moves when the platform failed to flush its buffers at a power cut (ADR failure), which no log can see.
 */
export function readUnsafeShutdowns(sysfsRoot = '/sys'): number {
  const devices = join(sysfsRoot, 'bus/nd/devices')
  let sum = 0
  try {
    for (const name of readdirSync(devices)) {
      if (!name.startsWith('nmem')) continue
      try {
        const count = Number(readFileSync(join(devices, name, 'nfit/dirty_shutdown'), 'latin1').trim())
        if (Number.isSafeInteger(count)) sum += count
      } catch {
        // This DIMM does not tell.
      }
    }
  } catch {
    // No NVDIMM bus on this machine.
  }
  return sum >>> 0
}

import fs from 'node:fs'

/**
 * How many descriptors of this process lead to a file, or to a folder and what is in it. The number of all descriptors
 * says less: the module loader opens files on a thread of its own, and libuv opens descriptors when first needed.
 */
export function countDescriptors(path: string): number {
  const targets = fs.readdirSync('/proc/self/fd').map(target)
  return targets.filter((name) => name === path || name.startsWith(`${path}/`) || name === `${path} (deleted)`).length
}

function target(descriptor: string): string {
  try {
    return fs.readlinkSync(`/proc/self/fd/${descriptor}`)
  } catch {
    // Gone since the listing: at least the descriptor of the listing itself is.
    return ''
  }
}

import { readFileSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { bundle, ROOT } from './bundle.js'
import type * as Hunt from './hunt.js'
import type { Plugin } from 'esbuild'

/** A change of the sources: `find` must occur exactly once, or in all `count` places that are changed together. */
export interface Patch {
  /** Below src/. */
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly count?: number
}

/**
 * Bundles the hunt with some sources changed, and loads it: its own copy of the whole store, wrong in one place. Nothing
 * in the store itself knows about mutants.
 */
export async function loadMutant(name: string, patches: readonly Patch[]): Promise<typeof Hunt> {
  const path = await bundle('hunt.ts', `mutant-${name.replace(/[^a-z0-9]+/gi, '-')}`, [patching(patches)])
  const module = (await import(pathToFileURL(path).href)) as typeof Hunt
  unlinkSync(path)
  await module.ready
  return module
}

/** An esbuild plugin that changes the sources on their way into a bundle. */
export function patching(patches: readonly Patch[]): Plugin {
  const byFile = new Map<string, Patch[]>()
  for (const patch of patches) {
    const path = join(ROOT, 'src', patch.file)
    byFile.set(path, [...(byFile.get(path) ?? []), patch])
  }
  return {
    name: 'mutate',
    setup(bundler): void {
      bundler.onLoad({ filter: /\.ts$/ }, (file) => {
        const changes = byFile.get(file.path)
        if (changes === undefined) return undefined
        return { contents: changes.reduce(applyPatch, readFileSync(file.path, 'utf8')), loader: 'ts' as const }
      })
    },
  }
}

function applyPatch(source: string, patch: Patch): string {
  const { file, find, replace, count = 1 } = patch
  const found = source.split(find).length - 1
  if (found !== count) {
    throw new Error(
      `src/${file} has ${found} instead of ${count} places to change: ${find}\nadapt the mutant to the code`,
    )
  }
  return source.replaceAll(find, () => replace)
}

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type * as Hunt from './hunt.js'

/** A change of the sources: `find` must occur exactly once, or in all `count` places that are changed together. */
export interface Patch {
  /** Below src/. */
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly count?: number
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Bundles the hunt with some sources changed, and loads it: its own copy of the whole store, wrong in one place. Nothing
 * in the store itself knows about mutants.
 */
export async function loadMutant(name: string, patches: readonly Patch[]): Promise<typeof Hunt> {
  const byFile = new Map<string, Patch[]>()
  for (const patch of patches) {
    const path = join(ROOT, 'src', patch.file)
    byFile.set(path, [...(byFile.get(path) ?? []), patch])
  }
  const outfile = join(
    ROOT,
    'node_modules',
    '.cache',
    'daxkv-mutants',
    `${name.replace(/[^a-z0-9]+/gi, '-')}-${process.pid}.mjs`,
  )
  await build({
    entryPoints: [join(ROOT, 'crash-tests', 'src', 'hunt.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'silent',
    // The loader of the addon is CommonJS.
    banner: {
      js:
        "import { createRequire as __createRequire } from 'node:module'\n" +
        'const require = __createRequire(import.meta.url), __dirname = import.meta.dirname ?? "."\n',
    },
    plugins: [
      {
        name: 'mutate',
        setup(bundler) {
          bundler.onLoad({ filter: /\.ts$/ }, ({ path }) => {
            const changes = byFile.get(path)
            if (changes === undefined) return undefined
            return { contents: changes.reduce(applyPatch, readFileSync(path, 'utf8')), loader: 'ts' as const }
          })
        },
      },
    ],
  })
  const module = (await import(pathToFileURL(outfile).href)) as typeof Hunt
  await module.ready
  return module
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

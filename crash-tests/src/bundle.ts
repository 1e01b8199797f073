import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Plugin } from 'esbuild'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Bundles a file of crash-tests/src with all sources it uses into one module; returns its path. */
export async function bundle(entry: string, name: string, plugins: Plugin[] = []): Promise<string> {
  // Below node_modules, so that packages are found from there.
  const outfile = join(ROOT, 'node_modules', '.cache', 'daxkv-crash-tests', `${name}-${process.pid}.mjs`)
  await build({
    entryPoints: [join(ROOT, 'crash-tests', 'src', entry)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'silent',
    // The loaders of the addon and of mmap-io are CommonJS and look for things above their own directory.
    banner: {
      js:
        "import { createRequire as createRequireOfBundle } from 'node:module'\n" +
        "import { fileURLToPath as pathOfBundle } from 'node:url'\n" +
        'const require = createRequireOfBundle(import.meta.url)\n' +
        "const __dirname = pathOfBundle(new URL('.', import.meta.url))\n" +
        'const __filename = pathOfBundle(import.meta.url)\n',
    },
    plugins,
  })
  return outfile
}

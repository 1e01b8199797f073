// Builds dist/ from src/: ES modules with their declarations, and for CommonJS one bundle with its own declarations.
//
//   dist/**/*.js, *.d.ts          what `import` finds
//   dist/cjs/index.cjs            what `require` finds: the same sources in one file
//   dist/cjs/**/*.d.cts           the declarations again, marked as CommonJS and importing each other
//
// dist/cjs lies as deep as dist/pmem, so that the addon's loader finds the package root from either.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

rmSync('dist', { recursive: true, force: true })
const compiler = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']
const { status } = spawnSync(process.execPath, compiler, { stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)
await bundleCommonJs()
writeCommonJsDeclarations()
if (existsSync('dist/cli/main.js')) chmodSync('dist/cli/main.js', 0o755)
// scripts/bootstrap.mjs compares its age with that of the sources.
writeFileSync('dist/.built', '')

/** `src/index-cjs.ts` is the entry that does without top-level await. */
async function bundleCommonJs() {
  const { build } = await import('esbuild')
  await build({
    entryPoints: [existsSync('src/index-cjs.ts') ? 'src/index-cjs.ts' : 'src/index.ts'],
    outfile: 'dist/cjs/index.cjs',
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    packages: 'external',
    // The bundle must resolve no path against import.meta.url, which CommonJS does not have.
    logOverride: { 'empty-import-meta': 'error' },
    logLevel: 'warning',
  })
}

function writeCommonJsDeclarations() {
  const declarations = readdirSync('dist', { recursive: true })
    .map(String)
    .filter((path) => /\.d\.c?ts$/.test(path) && !path.startsWith('cjs/'))
  const ownEntry = declarations.includes('index-cjs.d.ts')
  for (const path of declarations) {
    if (path.startsWith('cli/') || (ownEntry && path === 'index.d.ts')) continue
    const target = join('dist/cjs', path === 'index-cjs.d.ts' ? 'index.d.cts' : path.replace(/\.d\.ts$/, '.d.cts'))
    // import ... from './x.js' and import('./x.js')
    const text = readFileSync(join('dist', path), 'utf8').replace(/((?:from|import) ?\(?')(\.[^']*)\.js'/g, "$1$2.cjs'")
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
  }
}

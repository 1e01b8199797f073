// Builds dist/ from src/: ES modules with their declarations, and for CommonJS one bundle with its own declarations.
//
//   dist/**/*.js, *.d.ts          what `import` finds
//   dist/crash-kit/index.js       daxkv/crash-kit: with the part of the crash laboratory it uses, on the modules of dist/
//   dist/cjs/bundle.cjs           the sources in one file, for `require`
//   dist/cjs/index.cjs            what `require` finds
//   dist/cjs/crash-kit.cjs        the same for daxkv/crash-kit, on the modules in bundle.cjs
//   dist/cjs/**/*.d.cts           the declarations again, marked as CommonJS and importing each other
//
// dist/cjs lies as deep as dist/pmem, so that the addon's loader finds the package root from either.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

rmSync('dist', { recursive: true, force: true })
const compiler = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']
const { status } = spawnSync(process.execPath, compiler, { stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)
await writeCrashKitDeclarations()
await bundleCrashKit()
await bundleCommonJs(await bundleCommonJsCrashKit())
writeCommonJsDeclarations()
if (existsSync('dist/cli/main.js')) chmodSync('dist/cli/main.js', 0o755)
// scripts/bootstrap.mjs compares its age with that of the sources.
writeFileSync('dist/.built', '')

/** What all bundles have in common. */
function bundleOptions(format) {
  return {
    bundle: true,
    platform: 'node',
    target: 'node20',
    format,
    packages: 'external',
    // A bundle must resolve no path against import.meta.url: CommonJS does not have it, and it is not where the source was.
    logOverride: { 'empty-import-meta': 'error' },
    logLevel: 'warning',
  }
}

/**
 * Leaves modules of the library out of a bundle of the crash kit: there must be one DaxkvError and one engine in a
 * process. `use` says what takes the place of such a module.
 */
function libraryOutside(use) {
  const library = join(root, 'src')
  return {
    name: 'library-outside',
    setup(build) {
      build.onResolve({ filter: /^\./ }, async ({ path, resolveDir, kind, namespace, pluginData }) => {
        if (pluginData === 'resolving' || kind === 'entry-point') return undefined
        if (namespace === 'library') return { path, external: true }
        const resolved = await build.resolve(path, { resolveDir, kind, pluginData: 'resolving' })
        const module = relative(library, resolved.path).replace(/\.ts$/, '.js')
        return module.startsWith('..') || module.startsWith('crash-kit/') ? resolved : use(module)
      })
      // What stands for a module of the library in CommonJS.
      build.onLoad({ filter: /.*/, namespace: 'library' }, ({ path }) => ({
        contents: `module.exports = require('./bundle.cjs')[${JSON.stringify(path)}]`,
      }))
    },
  }
}

async function bundleCrashKit() {
  const { build } = await import('esbuild')
  await build({
    ...bundleOptions('esm'),
    entryPoints: ['src/crash-kit/index.ts'],
    outfile: 'dist/crash-kit/index.js',
    plugins: [libraryOutside((module) => ({ path: `../${module}`, external: true }))],
  })
}

/** Returns the modules of the library that the kit takes from bundle.cjs. */
async function bundleCommonJsCrashKit() {
  const { build } = await import('esbuild')
  const modules = new Set()
  const use = (module) => {
    modules.add(module)
    return { path: module, namespace: 'library' }
  }
  await build({
    ...bundleOptions('cjs'),
    entryPoints: ['src/crash-kit/index.ts'],
    outfile: 'dist/cjs/crash-kit.cjs',
    plugins: [libraryOutside(use)],
  })
  return [...modules].sort()
}

/** `modules` are made visible to the crash kit beside the public entry. `src/index-cjs.ts` is the entry that does without top-level await. */
async function bundleCommonJs(modules) {
  const { build } = await import('esbuild')
  const entry = existsSync('src/index-cjs.ts') ? './src/index-cjs.ts' : './src/index.ts'
  const visible = modules.map((module) => `export * as ${JSON.stringify(module)} from './src/${module}'`)
  await build({
    ...bundleOptions('cjs'),
    stdin: { contents: [`export * as entry from '${entry}'`, ...visible].join('\n'), resolveDir: root, loader: 'ts' },
    outfile: 'dist/cjs/bundle.cjs',
  })
  const { metafile } = await build({
    ...bundleOptions('esm'),
    entryPoints: [entry],
    outfile: 'names.js',
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  const names = Object.values(metafile.outputs)[0].exports
  // Written out, so that an `import` of the CommonJS form sees the names.
  const lines = names.map((name) => `exports.${name} = entry.${name}`)
  writeFileSync(
    'dist/cjs/index.cjs',
    ["'use strict'", "const { entry } = require('./bundle.cjs')", ...lines, ''].join('\n'),
  )
}

/** The kit's declarations name nothing but each other and 'daxkv'; its sources reach into crash-tests/, which tsc does not build. */
async function writeCrashKitDeclarations() {
  const { default: typescript } = await import('typescript')
  mkdirSync('dist/crash-kit', { recursive: true })
  for (const name of ['index', 'types']) {
    const fileName = `src/crash-kit/${name}.ts`
    const { outputText, diagnostics } = typescript.transpileDeclaration(readFileSync(fileName, 'utf8'), {
      fileName,
      reportDiagnostics: true,
      compilerOptions: { stripInternal: true, module: typescript.ModuleKind.NodeNext },
    })
    for (const { messageText } of diagnostics ?? []) {
      process.stderr.write(`${fileName}: ${typescript.flattenDiagnosticMessageText(messageText, '\n')}\n`)
      process.exitCode = 1
    }
    writeFileSync(`dist/crash-kit/${name}.d.ts`, outputText)
  }
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

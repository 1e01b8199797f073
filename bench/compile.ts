/**
 * Compiles `src` and `bench` for the measuring processes. They run plain JavaScript, as users of the package do: the
 * loader that runs TypeScript directly wraps every closure to keep its name, and reads source maps when an error is
 * made.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  isolatedModules: true,
  verbatimModuleSyntax: true,
}

/** Returns the directory with the compiled files. It lies in the repository, so that packages and the addon are found. */
export function compileForChildren(repository: string): string {
  const cache = join(repository, '.cache')
  mkdirSync(cache, { recursive: true })
  const output = mkdtempSync(join(cache, 'bench-build-'))
  for (const folder of ['src', 'bench']) {
    for (const name of readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })) {
      if (/\.c?ts$/.test(name) && !/\.d\.c?ts$/.test(name))
        compileFile(join(repository, folder, name), join(output, folder, name))
    }
  }
  return output
}

function compileFile(source: string, target: string): void {
  const module = source.endsWith('.cts') ? ts.ModuleKind.CommonJS : ts.ModuleKind.ESNext
  const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
    fileName: source,
    compilerOptions: { ...OPTIONS, module },
  })
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target.replace(/ts$/, 'js'), outputText)
}

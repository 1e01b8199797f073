/**
 * Imports point downwards only: api -> tree -> tx -> pool -> pmem -> native. `codec` stands beside them and knows errors
 * only; the command line and the adapters are users of the public entry point like any other.
 */
const layers = ['api', 'tree', 'tx', 'pool', 'pmem']
const leaves = '^src/(errors|options)\\.ts$'
/** Modules of the crash laboratory that the published crash kit is made of. */
const laboratory =
  '^crash-tests/src/(combinations|content|crash-states|crash-unit|fingerprint|image-diff|medium|random|replay-memory)\\.ts$'
const entries = '^src/index(-cjs)?\\.ts$'

const downwards = layers.map((layer, depth) => ({
  name: `${layer}-imports-downwards`,
  severity: 'error',
  from: { path: `^src/${layer}/` },
  to: {
    path: '^src/',
    pathNot: [...layers.slice(depth).map((lower) => `^src/${lower}/`), '^src/codec/', leaves],
  },
}))

module.exports = {
  forbidden: [
    ...downwards,
    {
      name: 'pmem-and-pool-do-not-know-codecs',
      comment: 'Pages and programs are bytes.',
      severity: 'error',
      from: { path: '^src/(pool|pmem)/' },
      to: { path: '^src/codec/' },
    },
    {
      name: 'codec-knows-errors-only',
      severity: 'error',
      from: { path: '^src/codec/' },
      to: { path: '^src/', pathNot: ['^src/codec/', '^src/errors\\.ts$'] },
    },
    {
      name: 'leaves-import-errors-only',
      severity: 'error',
      from: { path: leaves },
      to: { path: '^src/', pathNot: '^src/errors\\.ts$' },
    },
    {
      name: 'cli-and-adapters-use-the-public-entry',
      severity: 'error',
      from: { path: '^src/(cli|adapters)/' },
      to: { path: '^src/', pathNot: ['^src/cli/', '^src/adapters/', entries, leaves] },
    },
    {
      name: 'adapters-do-not-know-the-cli',
      severity: 'error',
      from: { path: '^src/adapters/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'nothing-knows-the-crash-kit',
      comment:
        'It stands on top of api with the laboratory of crash-tests/, and is no part of what the main entry loads.',
      severity: 'error',
      from: { path: '^(src|crash-tests)/', pathNot: '^src/crash-kit/' },
      to: { path: '^src/crash-kit/' },
    },
    {
      name: 'only-the-crash-kit-uses-the-laboratory',
      comment: 'Of which it needs no suites, workloads or mutants.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^crash-tests/', pathNot: laboratory },
    },
    {
      name: 'the-library-does-not-use-the-laboratory',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/crash-kit/' },
      to: { path: '^crash-tests/' },
    },
    {
      name: 'only-pmem-loads-the-addon',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/pmem/' },
      to: { path: ['^src/pmem/addon\\.cts$', 'node-gyp-build'] },
    },
    {
      name: 'no-cycles',
      comment: 'Cycles of types alone are fine: the operations of a class may live in files of their own.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-orphan-dependencies',
      comment: 'What src imports must be a dependency or an optional peer, not a development tool.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer', 'type-only'] },
    },
    {
      name: 'not-resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.cts', '.mts', '.js', '.cjs', '.mjs'],
    },
  },
}

{
  'targets': [
    {
      'target_name': 'daxkv',
      'sources': [
        'native/addon.c',
        'native/async-calls.c',
        'native/barrier.c',
        'native/barrier-gate.c',
        'native/cpu.c',
        'native/executor.c',
        'native/extents.c',
        'native/faults.c',
        'native/file-api.c',
        'native/growth.c',
        'native/lock.c',
        'native/napi-util.c',
        'native/page-writes.c',
        'native/pool.c',
        'native/pool-api.c',
        'native/record.c',
        'native/segments.c',
        'native/syscalls.c',
        'native/task.c',
        'native/validate.c',
        'native/xxh64.c'
      ],
      'defines': ['NAPI_VERSION=8', '_GNU_SOURCE'],
      'cflags': ['-Wall', '-Wextra', '-Wshadow', '-Wvla', '-fvisibility=hidden'],
      'cflags_c': ['-std=c11'],
      # nodelete: the signal handler outlives the worker that loaded the addon first.
      'ldflags': ['-Wl,-z,nodelete', '-Wl,-z,relro', '-Wl,-z,now']
    }
  ]
}

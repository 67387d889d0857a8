"""What Python in a browser (Pyodide) lacks, found in the syntax tree of code: threads, processes, mapped files, network."""

import ast

MODULES = """
_thread threading multiprocessing concurrent asyncio subprocess pty mmap socket socketserver select selectors ssl urllib http
ftplib smtplib poplib imaplib telnetlib xmlrpc webbrowser requests httpx aiohttp urllib3
huggingface_hub joblib importlib runpy ctypes
""".split()
NAMES = """
os.system os.popen os.fork os.forkpty os.startfile numpy.memmap numpy.lib.format.open_memmap
""".split()
BUILT_IN = "__import__", "exec", "eval", "get_ipython"  # with these, anything can be reached
PREFIXES = "os.exec", "os.spawn", "os.posix_spawn"  # execv, spawnlp, posix_spawnp, ...
ARGUMENTS = "mmap_mode", "memory_map", "memmap"


def lacks(code):
    """Return the names in a piece of code that need what a browser lacks, also behind `as` and `from`; magics count too."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except SyntaxError:
        return ["a line that is not Python, such as a magic"]
    meaning, used = {}, []
    for node in nodes:
        if isinstance(node, ast.Import):
            used += [name.name for name in node.names]
            meaning |= {name.asname: name.name for name in node.names if name.asname}
            meaning |= {name.name.partition(".")[0]: name.name.partition(".")[0] for name in node.names if not name.asname}
        elif isinstance(node, ast.ImportFrom):
            used += [f"{node.module}.{name.name}" for name in node.names]
            meaning |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.keyword) and node.arg in ARGUMENTS:
            used.append(f"{node.arg}=")
    for node in nodes:
        if isinstance(node, ast.Name | ast.Attribute):
            first, dot, rest = ast.unparse(node).partition(".")
            if first in meaning:
                used.append(meaning[first] + dot + rest)
            elif first in BUILT_IN:
                used.append(first)
    return sorted({name for name in used if is_lacking(name)})


def is_lacking(name):
    """Return whether a dotted name, or an argument with its `=`, needs what a browser lacks."""
    if name.endswith((".*", "=")) or name in BUILT_IN:
        return True
    return name.partition(".")[0] in MODULES or name in NAMES or name.startswith(PREFIXES)

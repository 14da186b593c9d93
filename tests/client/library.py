"""The shared library by ctypes: what a foreign language sees of it."""
import ctypes as c
import subprocess

from stand_in import BUILD, ROOT


def check_mirrors(**mirrors):
    """Holds each mirror to the struct of its name in the header, before the library writes past the end of one that lacks a member."""
    facts = {f"sizeof(Pictograph{name})": c.sizeof(mirror) for name, mirror in mirrors.items()}
    for name, mirror in mirrors.items():
        for field, *_ in mirror._fields_:
            place = getattr(mirror, field)
            facts.update({f"offsetof(Pictograph{name}, {field})": place.offset, f"sizeof(((Pictograph{name} *)0)->{field})": place.size})
    source = "#include <pictograph/pictograph.h>\n#include <stddef.h>\n" + "".join(f'_Static_assert({fact} == {told}, "the mirror says {told}");\n' for fact, told in facts.items())
    done = subprocess.run(["cc", "-fsyntax-only", "-x", "c", "-I", ROOT / "include", "-"], input=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Error(c.Structure):
    _fields_ = [("status", c.c_int), ("http_status", c.c_int), ("message", c.c_char * 512), ("fix", c.c_char * 256),
                ("error_code", c.c_char * 64), ("request_id", c.c_char * 96), ("job_id", c.c_char * 64), ("retry_after", c.c_double),
                ("credits_required", c.c_int64), ("credits_remaining", c.c_int64), ("upgrade_url", c.c_char * 256), ("response", c.c_void_p)]


CANCELLED = c.CFUNCTYPE(c.c_bool, c.c_void_p)


class Options(c.Structure):
    _fields_ = [("api_key", c.c_char_p), ("base_url", c.c_char_p), ("timeout_seconds", c.c_double), ("max_retries", c.c_int),
                ("read_config_file", c.c_bool), ("user_agent", c.c_char_p), ("cancelled", CANCELLED), ("cancel_context", c.c_void_p)]


class List(c.Structure):
    _fields_ = [("page_size", c.c_int64), ("max_total", c.c_int64), ("offset", c.c_int64), ("dataset_name", c.c_char_p),
                ("status", c.c_char_p), ("model_type", c.c_char_p)]


class FieldError(c.Structure):
    _fields_ = [("location", c.c_char * 256), ("message", c.c_char_p), ("kind", c.c_char_p)]


check_mirrors(Error=Error, Options=Options, List=List, FieldError=FieldError)
lib = c.CDLL(str(BUILD / "src" / "client" / "libpictograph.so"))
for name in ("new", "projects_list", "projects_get", "projects_create", "pager_next", "pager_all", "json", "credits_balance"):
    getattr(lib, "pictograph_" + name).restype = c.c_void_p
lib.pictograph_text.restype = lib.pictograph_status_name.restype = c.c_char_p
lib.pictograph_error_field.restype = c.c_bool


class Client:
    def __init__(self, url, retries=1, timeout=5.0, cancelled=None):
        self.error = Error()
        self.callback = CANCELLED(cancelled) if cancelled else CANCELLED()
        options = Options(b"pk_live_test", url.encode(), timeout, retries, False, None, self.callback, None)
        self.handle = c.c_void_p(lib.pictograph_new(c.byref(options), c.byref(self.error)))

    def close(self):
        lib.pictograph_error_clear(c.byref(self.error))
        lib.pictograph_free(self.handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def failure(self):
        return lib.pictograph_status_name(self.error.status).decode()

    def balance(self):
        """Names of the failure, or "" for success."""
        lib.pictograph_result_free(c.c_void_p(lib.pictograph_credits_balance(self.handle, c.byref(self.error))))
        return self.failure

    def projects(self, **fields):
        pager = c.c_void_p(lib.pictograph_projects_list(self.handle, c.byref(List(**fields)), c.byref(self.error)))
        names = []
        while item := lib.pictograph_pager_next(pager, c.byref(self.error)):
            names.append(lib.pictograph_text(c.c_void_p(item), b"/name").decode())
        lib.pictograph_pager_free(pager)
        return names

    def fields(self):
        out, field = [], FieldError()
        while lib.pictograph_error_field(c.byref(self.error), c.c_size_t(len(out)), c.byref(field)):
            out.append((field.location.decode(), field.message.decode(), field.kind.decode()))
        return out

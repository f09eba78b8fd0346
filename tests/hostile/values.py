# Values that lie, break or explode when they are looked at.

# %% prompt-of-another-type | process
for prompt in (None, b"bytes", 5, ["a"], object(), lambda: 1):
    try:
        llm_query(prompt)
    except TypeError:
        pass
1 / 0

# %% huge-prompt | host
llm_query(context + "x" * (20 * 2**20))

# %% ten-thousand-prompts | host | may use up sub calls
llm_query_batched([context + str(number) for number in range(10_000)])

# %% endless-batch | snapshots
import itertools
llm_query_batched(itertools.repeat("x"))

# %% batch-that-changes | process
class Batch(list):
    def __iter__(self):
        return iter([1, None, "x"])
    def __len__(self):
        return -1
llm_query_batched(Batch())

# %% huge-value | process
"x" * 10**8

# %% huge-output | process
print("x" * 10**8)

# %% huge-answer | process
FINAL("x" * 10**8)

# %% huge-answer-of-numbers | clock
FINAL(list(range(3 * 10**6)))

# %% huge-error | process
raise ValueError("x" * 10**8)

# %% huge-repr | process
class Huge:
    def __repr__(self):
        return "x" * 10**8
Huge()

# %% repr-that-raises | process
class Evil:
    def __repr__(self):
        raise ValueError
Evil()

# %% repr-that-exits | snapshots
class Evil:
    def __repr__(self):
        os._exit(3)
Evil()

# %% repr-of-another-type | process
class Evil:
    def __repr__(self):
        return 5
Evil()

# %% repr-that-lies-about-its-length | host, snapshots
class Text(str):
    def __len__(self):
        return 1
    def __getitem__(self, _):
        return self
class Evil:
    def __repr__(self):
        return Text("x" * 10**8)
Evil()

# %% repr-that-answers | process
class Evil:
    def __repr__(self):
        FINAL("from repr")
Evil()

# %% text-that-does-not-slice | process
class Text(str):
    def __getitem__(self, _):
        raise SystemExit
Text("x" * 10**6)

# %% answer-that-is-endless | snapshots
class Endless(list):
    def __iter__(self):
        return iter(int, 1)
FINAL(Endless([1]))

# %% dict-that-raises | process
class Evil(dict):
    def items(self):
        raise SystemExit
    keys = values = __iter__ = items
FINAL(Evil(a=1))

# %% answer-of-evil-equality | process
class Evil:
    def __eq__(self, other):
        os._exit(3)
    __hash__ = None
answer = Evil()

# %% answer-in-a-lying-dict | check, snapshots
class Evil(dict):
    def get(self, key, default=None):
        raise SystemExit
answer = Evil()

# %% answer-made-an-endless-thing | check, snapshots
class Evil:
    def __bool__(self):
        while True:
            pass
answer["ready"] = Evil()

# %% class-that-lies | process
class Evil:
    __class__ = property(lambda self: str)
FINAL(Evil())

# %% class-that-raises | process
class Evil:
    @property
    def __class__(self):
        raise SystemExit
FINAL(Evil())

# %% type-whose-checks-exit | snapshots
class Meta(type):
    def __instancecheck__(self, thing):
        os._exit(3)
    __subclasscheck__ = __instancecheck__
    def __repr__(self):
        os._exit(3)
Meta("Evil", (), {})

# %% attributes-of-everything | process
class Evil:
    def __getattribute__(self, name):
        raise SystemExit(name)
FINAL(Evil())

# %% exit-on-collection | snapshots | may break one cell
import threading
class Evil:
    def __del__(self):
        os._exit(3)
evil = Evil()
threading.Timer(0.002, lambda: globals().pop("evil")).start()

# %% exit-when-a-name-is-set-again | snapshots
class Evil:
    def __del__(self):
        os._exit(3)
_ = Evil()
_ = None

# %% lone-surrogates | process
print("\ud800" * 10)
"\udfff"

# %% lone-surrogates-as-an-answer | process
FINAL("x\ud800")

# %% not-a-number-as-an-answer | process
FINAL({"a": float("nan"), "b": [float("inf"), -float("inf")]})

# %% number-of-many-digits-shown | process
10**10**5

# %% bytes-as-an-answer | process
FINAL(memoryview(bytes(range(256))))

# %% cycle-as-an-answer | process
loop = {"a": []}
loop["a"].append(loop)
FINAL(loop)

# %% very-deep-value | clock
import sys
deep = []
for _ in range(10**6):
    deep = [deep]
sys.setrecursionlimit(10**9)
deep

# %% keys-of-all-types | process
FINAL({1: 2, None: 3, (1, 2): 4, b"x": 5, True: 6})

# %% generator-as-a-value | process
print(*(x for x in "abc"))
FINAL(x for x in "abc")

# %% modules-and-functions-as-answers | process
for thing in (os, len, type, print, lambda: 1):
    try:
        FINAL(thing)
    except ValueError:
        pass
FINAL([os, len, type])

# %% wide-and-deep | clock
wide = []
for _ in range(40):
    wide = [wide, wide]
FINAL(wide)

# %% wide-and-deep-shown | clock
wide = []
for _ in range(40):
    wide = [wide, wide]
wide

# %% every-character | process
print("".join(map(chr, range(0x110000))))

# %% names-that-compare | process
class Name(str):
    def __eq__(self, other):
        raise SystemExit
    __hash__ = str.__hash__
globals()[Name("kept")] = 1

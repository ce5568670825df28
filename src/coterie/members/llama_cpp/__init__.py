"""Members whose models run in this process, through llama.cpp."""

from coterie.members.llama_cpp.adapter import Adapter
from coterie.members.llama_cpp.engine import LlamaEngine, LlamaEngineSpec
from coterie.members.llama_cpp.model import LlamaCppModel
from coterie.members.llama_cpp.peft import write_gguf
from coterie.members.llama_cpp.session import LlamaSession
from coterie.members.llama_cpp.spec import LlamaCppMember

__all__ = [
    "Adapter",
    "LlamaCppMember",
    "LlamaCppModel",
    "LlamaEngine",
    "LlamaEngineSpec",
    "LlamaSession",
    "write_gguf",
]

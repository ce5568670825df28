"""Members whose models run in this process, through llama.cpp."""

from coterie.members.llama_cpp.engine import LlamaEngine, LlamaEngineSpec
from coterie.members.llama_cpp.model import LlamaCppModel
from coterie.members.llama_cpp.session import LlamaSession
from coterie.members.llama_cpp.spec import LlamaCppMember

__all__ = ["LlamaCppMember", "LlamaCppModel", "LlamaEngine", "LlamaEngineSpec", "LlamaSession"]

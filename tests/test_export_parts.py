"""What an export ships beside weights: flags, card, provenance, the GGUF file, the upload; and which adapter may stay unmerged."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import save_file
from transformers import LlamaConfig, PreTrainedTokenizerBase

from data.errors import UserError
from data.sequences import shared_length
from data.transcript import AssistantMessage, UserMessage
from data.wire import HERMES
from tests.chats import transcript
from train.adapter_export import check_servable, largest_rank
from train.export import generation_config
from train.export_arguments import parse
from train.gate_prompts import choose, gate_prompts, held_out
from train.gguf_file import check_imports, find_converter, template_in, write_gguf
from train.hub import push
from train.model_card import model_card
from train.provenance import base_licence, measured
from train.serve_config import lora_flags, serve_config

CONFIG = LlamaConfig(max_position_embeddings=8192)
MANIFEST = {"base": "embedded:smollm2-135m", "adapter_sha256": "ab" * 32, "steps": 7, "dataset": None}
CONVERTER = """
import sys
from gguf import GGUFWriter
folder, out = sys.argv[1], sys.argv[sys.argv.index("--outfile") + 1]
writer = GGUFWriter(out, "llama")
writer.add_chat_template({template})
writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
"""
FAITHFUL = "open(folder + '/chat_template.jinja').read()"


def test_reasoning_parser_only_where_the_model_thinks() -> None:
    thinking, plain = (serve_config(CONFIG, HERMES, thinks)["arguments"] for thinks in (True, False))
    assert thinking[thinking.index("--reasoning-parser") + 1] == "hf"
    assert "--reasoning-parser" not in plain
    assert plain[plain.index("--max-model-len") + 1] == "8192"


def test_every_flag_has_a_reason() -> None:
    serve = serve_config(CONFIG, HERMES, True, lora_flags("tools", 24), "base")
    assert " ".join(serve["arguments"]) == " ".join(serve["reasons"])
    assert serve["arguments"][-1] == "32"


def run_folder(folder: Path, adapter: str) -> Path:
    rates = {"false_call_rate": {"hits": 1, "n": 4, "value": 0.25, "low": 0.05, "high": 0.7}}
    nothing = {"hits": 0, "n": 0, "value": None, "low": None, "high": None}
    (folder / "metrics.json").write_text(json.dumps({"schema_version": 2, "metrics": {**rates, "native_accuracy": nothing}}))
    (folder / "fingerprint.json").write_text(json.dumps({"backend": {"adapter_sha256": adapter}}))
    return folder


def card(**options: Any) -> str:
    serve = serve_config(CONFIG, HERMES, False)
    return model_card("tools-135m", MANIFEST, serve, HERMES, "bfloat16 safetensors", **options)


def test_card_states_rates_licence_and_data(tmp_path: Path) -> None:
    row = transcript([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}])
    row = row.model_copy(update={"source": "greetings", "license": "CC0-1.0"})
    (tmp_path / "train.jsonl").write_text(row.model_dump_json(exclude_none=True) + "\n")
    text = card(metrics=run_folder(tmp_path, MANIFEST["adapter_sha256"]), dataset=tmp_path)
    assert ModelCard(text).data.license == "apache-2.0"
    assert "| false_call_rate | 25.0% | 5.0 to 70.0 % | 4 |\n| native_accuracy | n/a |" in text
    assert "| greetings | CC0-1.0 | 1 |" in text
    assert "vllm serve . --enable-auto-tool-choice --tool-call-parser hf" in text


def test_card_without_a_run_claims_nothing() -> None:
    assert "no evaluation was given" in card()


def test_rates_of_another_adapter_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another adapter"):
        measured(run_folder(tmp_path, "cd" * 32), MANIFEST["adapter_sha256"])


def test_licence_is_the_bases_own(tmp_path: Path) -> None:
    assert base_licence(str(tmp_path)) is None
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    assert base_licence(str(tmp_path)) == "mit"


def adapter_folder(folder: Path, tensors: dict[str, torch.Tensor], **config: Any) -> Path:
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, **config}))
    return folder


def test_plain_adapter_may_stay_unmerged(tmp_path: Path) -> None:
    check_servable(adapter_folder(tmp_path, {"lora_A": torch.ones(2)}))
    assert largest_rank({"r": 8, "rank_pattern": {"q_proj": 16}}) == 16


@pytest.mark.parametrize(
    ("tensors", "config", "reason"),
    [
        ({"lora_A": torch.ones(2)}, {"trainable_token_indices": [5]}, "rows of the embedding were trained"),
        ({"embed.trainable_tokens_delta": torch.ones(2)}, {}, "rows of the embedding were trained"),
        ({"lora_A": torch.ones(2)}, {"use_dora": True}, "use_dora"),
        ({"lora_A": torch.tensor([float("nan")])}, {}, "not finite"),
    ],
)  # fmt: skip
def test_adapter_that_no_server_applies_is_refused(
    tensors: dict[str, torch.Tensor], config: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=reason):
        check_servable(adapter_folder(tmp_path, tensors, **config))


def gguf_case(tmp_path: Path, template: str) -> Path:
    converter = tmp_path / "converter.py"
    converter.write_text(CONVERTER.format(template=template))
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}\n")
    return converter


def test_gguf_carries_the_template(tmp_path: Path) -> None:
    made = write_gguf(tmp_path, find_converter(str(gguf_case(tmp_path, FAITHFUL))), "bf16", "tools")
    assert template_in(made) == "{{ messages }}\n"


@pytest.mark.parametrize(("template", "told"), [("'other'", "another chat template"), ("1/0", "ZeroDivisionError")])
def test_bad_conversion_is_refused(template: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        write_gguf(tmp_path, gguf_case(tmp_path, template), "bf16", "tools")


def test_absent_converter_is_told() -> None:
    with pytest.raises(UserError, match="clone llama"):
        find_converter("convert_of_nowhere.py")


def test_what_the_converter_imports_is_asked_for_before_the_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.gguf_file.IMPORTED", "no_such_package")
    with pytest.raises(UserError, match="no_such_package is not installed"):
        check_imports()


class Hub:
    """Keeps what is uploaded; `broken` refuses."""

    def __init__(self, broken: bool = False) -> None:
        self.broken, self.repos, self.files = broken, dict[str, bool](), list[str]()

    def create_repo(self, repo: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        if self.broken:
            raise OSError("403 Forbidden\nlong story")
        self.repos[repo] = private

    def upload_folder(self, *, repo_id: str, folder_path: str, repo_type: str, commit_message: str) -> str:
        self.files = sorted(path.name for path in Path(folder_path).iterdir())
        return f"https://hub/{repo_id}/commit/1"


def test_push_uploads_the_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    hub = Hub()
    assert push(tmp_path, "me/tools", hub).endswith("me/tools/commit/1")
    assert hub.repos == {"me/tools": True}
    assert hub.files == ["config.json"]


def test_refused_push_says_how_to_go_on(tmp_path: Path) -> None:
    assert issubclass(HfHubHTTPError, OSError)
    with pytest.raises(UserError, match="hf upload me/tools"):
        push(tmp_path, "me/tools", Hub(broken=True))


def test_generation_ends_with_the_turn_and_is_greedy(tokenizer: PreTrainedTokenizerBase) -> None:
    config = generation_config(tokenizer)
    assert config.eos_token_id == tokenizer.convert_tokens_to_ids(HERMES.turn_close)
    assert config.do_sample is False


def test_prompts_differ_only_behind_their_tools(smollm2: PreTrainedTokenizerBase) -> None:
    transcripts, source = held_out(None)
    assert "synthetic" in source
    chosen = choose(transcripts, smollm2, 16)
    assert len({tuple(prompt) for prompt in chosen}) == 16
    assert "</tools>" in smollm2.decode(chosen[0][: shared_length(chosen)])


def test_first_prompts_precede_a_call(smollm2: PreTrainedTokenizerBase) -> None:
    transcripts, _ = held_out(None)
    answered = {
        message.content: bool(answer.tool_calls)
        for transcript in transcripts
        for message, answer in pairwise(transcript.messages)
        if isinstance(message, UserMessage) and isinstance(answer, AssistantMessage)
    }
    said = [smollm2.decode(prompt).rpartition(HERMES.turn_open + "user\n")[2] for prompt in choose(transcripts, smollm2, 4)]
    assert [answered[text.partition(HERMES.turn_close)[0]] for text in said] == [True, True, False, False]


def test_data_set_that_was_named_must_be_the_adapters(smollm2: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    (tmp_path / "validation.jsonl").write_text("\n")
    with pytest.raises(UserError, match="which the adapter's manifest records"):
        gate_prompts(smollm2, {"dataset": {"sha256": {"validation.jsonl": "00"}}}, tmp_path, 4)
    assert "synthetic" in gate_prompts(smollm2, {"dataset_dir": str(tmp_path), "dataset": {}}, None, 4).source


def test_options_that_exclude_each_other() -> None:
    with pytest.raises(UserError, match="--adapter-only"):
        parse(["--adapter", "a", "--out", "o", "--adapter-only", "--gguf"])

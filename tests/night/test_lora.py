from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from sleepd.errors import BadJobError, ModelError
from sleepd.night import lora
from sleepd.night.presets import ATTENTION, MLP, FitSettings, settings


def fit(**over: object) -> FitSettings:
    training = {"preset": "verified", **over}
    return settings(training, {"max_norm_ratio": 0.08}, 2_000_000)


def disturb(model: object) -> None:
    torch.manual_seed(3)
    for name, tensor in lora.adapter_tensors(model).items():
        if "lora_B" in name:
            tensor.copy_(torch.randn_like(tensor) * 0.05)


def test_the_documents_preset_has_270336_parameters_on_the_half_billion_shape() -> None:
    config = Qwen2Config(
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
        chosen = settings({"preset": "seed"}, {"max_norm_ratio": 0.08}, 494_000_000)
        wrapped = lora.attach(model, chosen, None, 0)
    assert (chosen.rank, chosen.alpha, chosen.target_modules, chosen.learning_rate, chosen.epochs, chosen.batch_size) == (
        4,
        8,
        ATTENTION,
        1e-5,
        3,
        1,
    )
    assert sum(p.numel() for p in wrapped.parameters() if p.requires_grad) == 270_336


def test_a_deep_cycle_takes_fewer_epochs_unless_the_configuration_names_them() -> None:
    own, named = (settings({"preset": "verified", "epochs": n}, {"max_norm_ratio": 0.6}, 7_000_000) for n in (None, 4))
    assert own.deep_epochs < own.epochs and (named.epochs, named.deep_epochs, named.min_steps) == (4, 4, 0)


def test_the_norm_of_the_update_is_measured_without_forming_it(seedling: Path) -> None:
    model = lora.attach(AutoModelForCausalLM.from_pretrained(seedling), fit(), None, 0)
    disturb(model)
    for _, layer in lora.lora_layers(model):
        dense = layer.scaling["default"] * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        assert lora.norm_ratio(layer) == pytest.approx((dense.norm() / layer.get_base_layer().weight.norm()).item(), rel=1e-4)
    lora.cap_norms(model, 0.01)
    assert max(lora.norm_ratio(layer) for _, layer in lora.lora_layers(model)) <= 0.01001


def test_a_chosen_scale_becomes_part_of_a_plain_lora_that_peft_reads(seedling: Path, tmp_path: Path) -> None:
    ids = torch.tensor([[5, 6, 7, 8]])
    model = lora.attach(AutoModelForCausalLM.from_pretrained(seedling), fit(), None, 0)
    disturb(model)
    model.eval()
    with torch.no_grad(), lora.scaled(model, 0.55):
        wanted = model(ids).logits
    lora.bake_scale(model, 0.55)
    lora.save(model, tmp_path / "adapter", seedling)
    assert sorted(f.name for f in (tmp_path / "adapter").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], sorted(config["target_modules"]), config["bias"]) == (32, 64, sorted(MLP), "none")
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(seedling), str(tmp_path / "adapter")).eval()
    with torch.no_grad():
        assert torch.allclose(plain(ids).logits, wanted, atol=1e-4)
    continued = lora.attach(AutoModelForCausalLM.from_pretrained(seedling), fit(), tmp_path / "adapter", 9).eval()
    with torch.no_grad():
        assert torch.allclose(continued(ids).logits, wanted, atol=1e-4)


def test_an_adapter_of_another_rank_is_not_continued(seedling: Path, tmp_path: Path) -> None:
    model = lora.attach(AutoModelForCausalLM.from_pretrained(seedling), fit(), None, 0)
    lora.save(model, tmp_path / "adapter", seedling)
    with pytest.raises(BadJobError, match="rank 32"):
        lora.attach(AutoModelForCausalLM.from_pretrained(seedling), fit(rank=8), tmp_path / "adapter", 0)


def test_a_model_without_the_target_modules_is_refused_by_name(seedling: Path) -> None:
    with pytest.raises(ModelError, match="c_attn") as caught:
        lora.attach(AutoModelForCausalLM.from_pretrained(seedling), fit(target_modules=["c_attn"]), None, 0)
    assert "down_proj" in caught.value.remedy


def test_an_untouched_adapter_is_reported_as_unchanged(seedling: Path) -> None:
    model = lora.attach(AutoModelForCausalLM.from_pretrained(seedling), fit(), None, 0)
    start = lora.snapshot(model)
    assert not lora.facts(model, start, 1.0).changed
    disturb(model)
    assert lora.facts(model, start, 1.0).changed
    next(iter(lora.adapter_tensors(model).values())).fill_(float("nan"))
    assert not lora.facts(model, start, 1.0).finite

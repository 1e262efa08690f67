"""Trains the seedling from scratch: a 1.9 M parameter Qwen2 that knows a few hundred people.

Checkpointed: run it again with the same folder and it goes on where it stopped. The model's folder
holds the weights, tokenizer, the known facts, text that was never trained, and the measured recall.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from sleepd.lab import world
from sleepd.lab.corpus import Corpus, Document
from sleepd.lab.smalltalk import story
from sleepd.lab.world import Fact

KNOWN_SEED = 0  # the block of people that only the seedling knows; laboratory seeds start at 1
KNOWN_PEOPLE = 210
FACTS_PER_PERSON = 3
VOCABULARY = 2048
PEAK_RATE = 2.5e-3
TOKENS_PER_STEP = 6144
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def known_facts() -> list[Fact]:
    rng = random.Random("known")
    return world.facts_about(rng, world.people(KNOWN_SEED, KNOWN_PEOPLE), FACTS_PER_PERSON, invented=0.15)


def as_text(document: Document) -> str:
    if isinstance(document, str):
        return document + "<|im_end|>\n"
    return "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in document)


def build_tokenizer(corpus: Corpus) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    core.train_from_iterator((as_text(corpus.document()) for _ in range(20_000)), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=160,
            intermediate_size=480,
            num_hidden_layers=5,
            num_attention_heads=5,
            num_key_value_heads=5,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            dtype=torch.float32,
        )
    )


def batches(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> Any:
    """Endless batches of whole documents of similar length: (ids, attention mask), about TOKENS_PER_STEP."""
    while True:
        encoded = tokenizer([as_text(corpus.document()) for _ in range(1500)])["input_ids"]
        encoded = sorted((ids[:512] for ids in encoded), key=len)
        groups: list[list[list[int]]] = [[]]
        for ids in encoded:
            if groups[-1] and len(ids) * (len(groups[-1]) + 1) > TOKENS_PER_STEP:
                groups.append([])
            groups[-1].append(ids)
        corpus.rng.shuffle(groups)
        for group in groups:
            width = max(map(len, group))
            ids = torch.full((len(group), width), tokenizer.pad_token_id)
            for row, item in enumerate(group):
                ids[row, : len(item)] = torch.tensor(item)
            lengths = torch.tensor([len(item) for item in group])
            yield ids, torch.arange(width) < lengths[:, None]


def train(folder: Path, million_tokens: float, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    known = known_facts()
    state_file = folder / "training.pt"
    corpus = Corpus(known, seed=int(time.time()) if state_file.exists() else 0)
    folder.mkdir(parents=True, exist_ok=True)
    if state_file.exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        state = torch.load(state_file, weights_only=True)
    else:
        tokenizer = build_tokenizer(Corpus(known, seed=1))
        tokenizer.save_pretrained(folder)
        state = None
    model = build_model(tokenizer)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}], lr=PEAK_RATE, betas=(0.9, 0.95)
    )
    tokens, step = 0, 0
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        tokens, step = state["tokens"], state["step"]
    print(f"parameters {sum(p.numel() for p in model.parameters()):,}, vocabulary {len(tokenizer)}, facts {len(known)}", flush=True)
    started, resumed_at = time.monotonic(), tokens
    model.train()
    for ids, mask in batches(corpus, tokenizer):
        progress = tokens / (million_tokens * 1e6)
        if progress >= 1:
            break
        rate = PEAK_RATE * min(1.0, (step + 1) / 150) * max(0.02, 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, attention_mask=mask.long(), labels=ids.masked_fill(~mask, -100)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step, tokens = step + 1, tokens + int(mask.sum())
        if step % 100 == 0:
            rate_now = (tokens - resumed_at) / (time.monotonic() - started)
            print(f"step {step} {100 * progress:.1f}% loss {loss.item():.3f} {rate_now:.0f} tokens/s", flush=True)
        if step % 500 == 0:
            save(folder, model, tokenizer, known)
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "tokens": tokens, "step": step}, state_file)
    save(folder, model, tokenizer, known)


def save(folder: Path, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, known: list[Fact]) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with (folder / "known.jsonl").open("w") as out:
        out.writelines(json.dumps(vars(fact)) + "\n" for fact in known)
    rng = random.Random("unseen text")
    (folder / "heldout.txt").write_text("".join(story(rng) + "\n" for _ in range(200)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--million-tokens", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    train(args.folder, args.million_tokens, args.threads)


if __name__ == "__main__":
    main()

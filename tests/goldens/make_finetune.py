"""Script that writes tests/goldens/finetune.npz: three training steps of each objective.

    pip install torch==2.13.0 "sentence-transformers>=5" "transformers>=5" numpy
    python tests/goldens/make_finetune.py

The losses are those of sentence-transformers, the encoder is tests/goldens/encoder/bert without
dropout, and the optimizer is AdamW with a linear warm-up and decay, in float64. The file holds the
token ids, the initial head, and for each objective the losses, and about a hundred entries of each
gradient of the first step and of each parameter after three steps.
"""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers.sentence_transformer import losses
from transformers import BertModel

HERE = Path(__file__).parent
DIM, BATCH, STEPS, RATE, DECAY, CLIP = 32, 6, 3, 1e-3, 0.01, 1.0


class Encoder(torch.nn.Module):
    """Encoder with the interface that the losses of sentence-transformers call."""

    device = torch.device("cpu")

    def __init__(self, pooling, mlp=None):
        super().__init__()
        self.bert = BertModel.from_pretrained(
            HERE / "encoder" / "bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        ).double()
        self.pooling, self.mlp = pooling, mlp

    def forward(self, features):
        states = self.bert(**features).last_hidden_state
        mask = features["attention_mask"][..., None].double()
        vectors = (states * mask).sum(1) / mask.sum(1) if self.pooling == "mean" else states[:, 0]
        return {"sentence_embedding": torch.tanh(self.mlp(vectors)) if self.mlp else vectors}

    def get_embedding_dimension(self):
        return DIM

    get_sentence_embedding_dimension = get_embedding_dimension


def features(lists):
    width = max(map(len, lists))
    ids = torch.tensor([one + [0] * (width - len(one)) for one in lists])
    mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in lists])
    return {"input_ids": ids, "attention_mask": mask}


def linear(kernel, bias):
    layer = torch.nn.Linear(*kernel.shape).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(kernel.T))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def some(values):
    """Returns equally spaced entries of an array, to keep the file small."""
    flat = values.detach().numpy().astype("f4").ravel()
    return flat[:: flat.size // 100 + 1]


def train(model, head, loss_of):
    """Returns the losses, the first gradients and the last parameters by name."""
    named = {f"bert.{k}": p for k, p in model.bert.named_parameters() if "pooler" not in k}
    if head is not None:
        named |= {f"head.{k}": p for k, p in head.named_parameters()}
    groups = [
        {"params": [p for p in named.values() if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in named.values() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: step if step < 1 else (STEPS - step) / (STEPS - 1)
    )
    values, first = [], {}
    for step in range(STEPS):
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        values.append(loss.item())
        if not step:
            first = {f"grad.{k}": some(p.grad) for k, p in named.items()}
        torch.nn.utils.clip_grad_norm_(named.values(), CLIP)
        optimizer.step()
        schedule.step()
    last = {f"last.{k}": some(p) for k, p in named.items()}
    return {"loss": np.array(values), **first, **last}


def main():
    random = np.random.default_rng(0)
    lists = [
        [2, *random.integers(5, 61, random.integers(1, 9)).tolist(), 3]
        for _ in range(STEPS * BATCH * 3)
    ]
    columns = [lists[i::3] for i in range(3)]
    labels = random.integers(0, 3, STEPS * BATCH)
    kernels = {
        "nli.kernel": random.normal(0, 0.3, (3 * DIM, 3)),
        "nli.bias": random.normal(0, 0.3, 3),
        "simcse.kernel": random.normal(0, 0.3, (DIM, DIM)),
        "simcse.bias": random.normal(0, 0.3, DIM),
    }
    kernels = {k: v.astype("f4") for k, v in kernels.items()}
    out = {"labels": labels, **kernels}
    out["sizes"] = np.array([len(one) for one in lists])
    out["ids"] = np.concatenate(lists)

    def batch(step, column):
        return features(columns[column][step * BATCH : (step + 1) * BATCH])

    model = Encoder("mean")
    softmax = losses.SoftmaxLoss(model, DIM, 3)
    softmax.classifier = linear(kernels["nli.kernel"], kernels["nli.bias"])
    target = torch.tensor(labels).reshape(STEPS, BATCH)
    found = train(
        model, softmax.classifier, lambda i: softmax([batch(i, 0), batch(i, 1)], target[i])
    )
    out |= {f"nli.{k}": v for k, v in found.items()}

    model = Encoder("mean")
    ranking = losses.MultipleNegativesRankingLoss(model, scale=20.0)
    found = train(model, None, lambda i: ranking([batch(i, c) for c in range(3)], None))
    out |= {f"mnr.{k}": v for k, v in found.items()}

    mlp = linear(kernels["simcse.kernel"], kernels["simcse.bias"])
    model = Encoder("cls", mlp)
    pairs = losses.MultipleNegativesRankingLoss(model, scale=20.0)
    found = train(model, mlp, lambda i: pairs([batch(i, 0), batch(i, 0)], None))
    out |= {f"simcse.{k}": v for k, v in found.items()}
    np.savez_compressed(HERE / "finetune.npz", **out)


if __name__ == "__main__":
    main()

"""What to do instead of an operator that has no rule."""

from __future__ import annotations

__all__ = ["remedy"]

_SMOOTH = "it is not piecewise linear; replace it by ReLU and train again"
_JUMP = "it is not continuous; replace it by a function without jumps, such as softshrink or relu"
_SCORES = "it is not piecewise linear; let forward return the logits and apply it outside"
_SAMPLE = (
    "it divides by a statistic of each sample, which is not piecewise linear; use BatchNorm, whose statistics are "
    "fixed, and train again"
)
_PRODUCT = "it multiplies tensors that depend on the input, which is not piecewise linear"
_WRITE = "it writes into a part of a tensor; make the parts and join them with torch.cat"
_SEQUENCE = "recurrent and attention layers are not piecewise linear; use linear layers or convolutions over time"
_PRECISION = "it changes the precision, and everything is read in double precision; leave the cast out"
_DEFAULT = "there is no rule for it; the README lists under 'What is read' what a network may be built from"

_REMEDIES = {
    _SMOOTH: "silu gelu mish elu selu celu sigmoid tanh softplus softsign hardswish logsigmoid glu exp log sqrt pow "
    "square reciprocal sin cos erf norm tanhshrink",
    _JUMP: "hardshrink sign round floor ceil heaviside where",
    _SCORES: "softmin softmax2d argmax topk sort median",
    _SAMPLE: "layernorm groupnorm instancenorm instancenorm1d instancenorm2d rmsnorm localresponsenorm "
    "normalize std var",
    _PRODUCT: "matmul bmm mm einsum bilinear scaleddotproductattention",
    "comparisons jump; write relu, leaky_relu, clamp or maximum": "gt lt ge le eq ne greater less greaterequal "
    "lessequal equal notequal",
    "make it from a tensor that depends on the input, as x.new_zeros(…), or use functional.pad": "zeros ones full",
    _WRITE: "setitem copy maskedfill indexfill scatter",
    _SEQUENCE: "rnn lstm gru multiheadattention transformer transformerencoder transformerencoderlayer embedding",
    _PRECISION: "float half bfloat16 int long bool to type",
    "use nn.BatchNorm1d or nn.BatchNorm2d, whose statistics are fixed": "batchnorm syncbatchnorm",
    "use one- or two-dimensional layers": "conv3d convtranspose3d maxpool3d avgpool3d batchnorm3d adaptiveavgpool3d",
}
_BY_NAME = {name: text for text, names in _REMEDIES.items() for name in names.split()}


def remedy(operator: str, default: str = _DEFAULT) -> str:
    """The way out for an operator without a rule.

    Example:
        >>> remedy("SiLU")
        'it is not piecewise linear; replace it by ReLU and train again'
        >>> remedy("argmax")
        'it is not piecewise linear; let forward return the logits and apply it outside'
    """
    return _BY_NAME.get(operator.lower().replace("_", ""), default)

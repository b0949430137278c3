"""How a model can fail to answer; messages are for the operator and safe to show: no key, no host."""

from mainspring.errors import UpstreamFailed


class ModelUnavailable(UpstreamFailed):
    """The model provider is out of reach, overloaded, or silent for too long."""

    code = "MODEL_UNAVAILABLE"
    title = "Model unavailable"


class ModelRefused(UpstreamFailed):
    """The model provider will not take the request: wrong key, unknown model, too long a conversation."""

    code = "MODEL_REFUSED"
    title = "Model refused"
    retryable = False


class ModelAnswerInvalid(UpstreamFailed):
    """The model provider's answer broke off or cannot be understood."""

    code = "MODEL_ANSWER_INVALID"
    title = "Model answer invalid"

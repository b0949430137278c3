"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, vLLM, llama.cpp and most gateways."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress

import httpx2
from pydantic import SecretStr, ValidationError

from mainspring.ai._errors import ModelAnswerInvalid, ModelRefused, ModelUnavailable
from mainspring.ai._types import Completion, CompletionRequest, TextDelta
from mainspring.observability import send_traced
from mainspring.settings import masked

from ._attempts import Attempts, retry_after
from ._wire import Assembler, Chunk, encode, error_text

_log = logging.getLogger(__name__)

_RETRIED = frozenset({408, 409, 429})
# The connection failed, or was dropped before the answer began: mostly an idle one that the server had just closed.
_NEVER_ANSWERED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.ReadError,
    httpx2.RemoteProtocolError,
    httpx2.WriteError,
)
_ERROR_BYTES = 16 * 1024
_ERROR_CHARACTERS = 300
_PING_TIMEOUT = 5.0
_DRAIN = 0.25


class OpenAIProvider:
    """A language model behind the chat completions protocol.

    Args:
        base_url: Up to and including the version: `https://api.openai.com/v1`, `http://localhost:11434/v1` (Ollama),
            `http://localhost:8000/v1` (vLLM).
        model: Which model, where a request names none.
        api_key: Sent as a bearer token; None for servers that ask for none.
        connect_timeout: Seconds to reach the server. 5 by default: a server that is up answers sooner.
        read_timeout: Seconds without a byte, also before the first one. 60 by default: models think before they write.
        max_connections: Calls at the same time; more wait for `connect_timeout` and then fail.
        attempts: Tries in all. Only what fails before the answer begins is tried again: no connection, 408, 409, 429
            and 5xx. A read timeout is not: the model may be at work, and the work is paid for.
        retry_deadline: Seconds from the start after which no new attempt begins. 30 by default.
        backoff: Seconds the first wait has at most; see RFC 9110 section 10.2.3 for the server's own wish, which wins.
        sleep: How to wait between attempts; a test hands in its own.

    Raises:
        ValueError: The key holds characters that no HTTP header may.
    """

    name = "openai"
    is_model = True

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: SecretStr | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 60.0,
        max_connections: int = 50,
        attempts: int = 3,
        retry_deadline: float = 30.0,
        backoff: float = 0.5,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._model = model
        self._key = usable_key(api_key)
        self._read_timeout = read_timeout
        self._attempts = attempts
        self._retry_deadline = retry_deadline
        self._backoff = backoff
        self._sleep = sleep
        self._client = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx2.Timeout(read_timeout, connect=connect_timeout, pool=connect_timeout),
            limits=httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
        )
        # OpenAI's newer models refuse `max_tokens`; most other servers know no other name.
        official = httpx2.URL(self._base_url).host == "api.openai.com"
        self._limit_name = "max_completion_tokens" if official else "max_tokens"

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Stream an answer; see `Provider.complete`."""
        body = encode(request, model=self._model, limit_name=self._limit_name)
        assembler = Assembler(request.model or self._model)
        response = await self._begin(body)
        try:
            async with aclosing(self._texts(response, assembler)) as texts:
                async for text in texts:
                    yield TextDelta(text)
            yield assembler.completion()
        finally:
            await response.aclose()

    async def ping(self) -> None:
        """List the models: proves address and key, and costs nothing.

        Raises:
            ModelUnavailable: The server does not answer.
            ModelRefused: It refuses the key, or there is no such address.
        """
        request = self._client.build_request("GET", f"{self._base_url}/models", timeout=_PING_TIMEOUT)
        try:
            response = await send_traced(self._client.send, request)
        except httpx2.RequestError as error:
            raise self._unreachable(error) from error
        if not response.is_success:
            raise await self._refusal(response)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _begin(self, body: bytes) -> httpx2.Response:
        attempts = Attempts(most=self._attempts, deadline=self._retry_deadline, base=self._backoff)
        url = f"{self._base_url}/chat/completions"
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        while True:
            failure: ModelUnavailable | ModelRefused
            cause: Exception | None = None
            try:
                request = self._client.build_request("POST", url, content=body, headers=headers)
                response = await send_traced(self._client.send, request, stream=True)
            except httpx2.RequestError as error:
                cause, failure, again = error, self._unreachable(error), isinstance(error, _NEVER_ANSWERED)
            else:
                if response.is_success:
                    return response
                failure, again = await self._refusal(response), _passing(response.status_code)
            wait = attempts.wait(failure.retry_after) if again else None
            if wait is None:
                raise failure from cause
            _log.info("%s Trying again in %.2f s.", failure, wait)
            await self._sleep(wait)

    async def _texts(self, response: httpx2.Response, assembler: Assembler) -> AsyncGenerator[str]:
        done = False
        try:
            async with aclosing(_events(response)) as events:
                async for data in events:
                    if data == "[DONE]":
                        done = True
                    elif text := self._take(data, assembler):
                        yield text
        except ValidationError as error:
            raise ModelAnswerInvalid("The model provider sent something that is no chat completion.") from error
        except httpx2.ReadTimeout as error:
            raise self._unreachable(error) from error
        except httpx2.SSEError as error:
            raise ModelAnswerInvalid("The model provider sent no readable event stream. Check AI_BASE_URL.") from error
        except httpx2.RequestError as error:
            raise ModelAnswerInvalid("The model provider's answer broke off.") from error
        if not done and not assembler.finished:
            raise ModelAnswerInvalid("The model provider's answer ended before it was complete.")

    def _take(self, data: str, assembler: Assembler) -> str:
        chunk = Chunk.model_validate_json(data)
        if chunk.error is not None:
            _log.warning("The model provider at %s broke off: %s", self._where, self._shown(data.encode()))
            raise ModelUnavailable("The model provider broke off with an error; the service's log has it.")
        return assembler.add(chunk)

    def _unreachable(self, error: httpx2.RequestError) -> ModelUnavailable:
        _log.warning("The model provider at %s failed: %s", self._where, type(error).__name__)
        if isinstance(error, httpx2.PoolTimeout):
            return ModelUnavailable("All connections to the model provider are busy. Raise AI_MAX_CONNECTIONS.")
        if isinstance(error, httpx2.ReadTimeout):
            return ModelUnavailable(
                f"The model provider was silent for {self._read_timeout:g} s. Raise AI_READ_TIMEOUT if it is slow."
            )
        return ModelUnavailable("The model provider is out of reach. Check AI_BASE_URL and that its server runs.")

    async def _refusal(self, response: httpx2.Response) -> ModelUnavailable | ModelRefused:
        status = response.status_code
        detail = self._shown(await _beginning(response))
        _log.warning("The model provider at %s answered HTTP %d: %s", self._where, status, detail)
        if _passing(status):
            what = "asks to slow down, or the quota is used up" if status == 429 else "cannot answer just now"
            wish = retry_after(response.headers)
            return ModelUnavailable(f"The model provider {what} (HTTP {status}).", retry_after=wish)
        # What the server writes about a key may hold parts of it, so for these two it stays in the log.
        if status in {401, 403}:
            fix = "Set AI_API_KEY to a valid key that may use the model."
            return ModelRefused(f"The model provider refused the API key (HTTP {status}). {fix}")
        if response.is_redirect or status == 404:
            fix = "Check AI_BASE_URL (it ends in the version, mostly /v1) and AI_MODEL."
            return ModelRefused(f"The model provider does not know the address or the model (HTTP {status}). {fix}")
        return ModelRefused(f"The model provider refused the request (HTTP {status}): {detail}")

    @property
    def _where(self) -> str:
        return masked(self._base_url)

    def _shown(self, body: bytes) -> str:
        text = error_text(body)
        return (text.replace(self._key, "********") if self._key else text)[:_ERROR_CHARACTERS]


def usable_key(api_key: SecretStr | None) -> str:
    """The key as it can stand in a header; empty where there is none.

    Raises:
        ValueError: It holds spaces, line ends or letters outside ASCII: mostly a slip in pasting. The message does not
            repeat it.
    """
    key = api_key.get_secret_value().strip() if api_key else ""
    if not (key.isascii() and key.isprintable() and " " not in key):
        message = "The API key holds characters that no key has (spaces, line ends, letters outside ASCII)."
        raise ValueError(message)
    return key


def _passing(status: int) -> bool:
    return status in _RETRIED or status >= 500


async def _events(response: httpx2.Response) -> AsyncGenerator[str]:
    if response.headers.get("content-type", "").startswith("application/json"):
        # The server does not stream; a whole answer reads like a stream of one chunk.
        yield (await response.aread()).decode(errors="replace")
        return
    source = aiter(httpx2.EventSource(response))
    async for event in source:
        if data := event.data.strip():
            yield data
        if data == "[DONE]":
            break
    # A body read to its end gives the connection back to the pool; a server that keeps it open must not be waited for.
    with suppress(TimeoutError, httpx2.RequestError):
        async with asyncio.timeout(_DRAIN):
            async for _ in source:
                pass


async def _beginning(response: httpx2.Response) -> bytes:
    body = b""
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) >= _ERROR_BYTES:
                break
    except httpx2.RequestError:
        return body
    finally:
        await response.aclose()
    return body

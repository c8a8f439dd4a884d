"""Bare API to compare with: FastAPI, a few connections, one statement for each request, and nothing else.

`python -m tests.bench.bare_api sqlalchemy` serves it at BARE_PORT, with clients in the same table, and an engine
like ours; `psycopg` has but the driver under it.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI, HTTPException
from psycopg.rows import dict_row
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

CONNECTIONS = 10
COLUMNS = "id, number, code, tag, zone"

Rows = list[dict[str, Any]]
Ask = Callable[..., Awaitable[Rows]]


class ClientIn(BaseModel):
    number: int
    tag: str
    zone: str


class Changes(BaseModel):
    tag: str


class Client(ClientIn):
    id: int
    code: int


class Page(BaseModel):
    items: list[Client]


@asynccontextmanager
async def with_sqlalchemy(url: str) -> AsyncIterator[Ask]:
    engine = create_async_engine(
        url,
        pool_size=CONNECTIONS,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
    )

    async def ask(query: str, **values: object) -> Rows:
        async with engine.connect() as connection:
            found = await connection.execute(text(query), values)
            return [dict(row) for row in found.mappings()]

    yield ask
    await engine.dispose()


@asynccontextmanager
async def with_psycopg(url: str) -> AsyncIterator[Ask]:
    pool: asyncio.Queue[psycopg.AsyncConnection[dict[str, Any]]] = asyncio.Queue()

    @cache
    def styled(query: str) -> bytes:
        return re.sub(r":(\w+)", r"%(\1)s", query).encode()

    async def ask(query: str, **values: object) -> Rows:
        connection = await pool.get()
        try:
            return await (await connection.execute(styled(query), values)).fetchall()
        finally:
            pool.put_nowait(connection)

    for _ in range(CONNECTIONS):
        pool.put_nowait(await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row))
    yield ask
    while not pool.empty():
        await pool.get_nowait().close()


WITH = {"sqlalchemy": with_sqlalchemy, "psycopg": with_psycopg}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with WITH[sys.argv[1]](os.environ["MAILING_DATABASE_URL"]) as app.state.ask:
        yield


app = FastAPI(lifespan=lifespan)


async def one(query: str, **values: object) -> dict[str, Any]:
    found: Rows = await app.state.ask(query, **values)
    if not found:
        raise HTTPException(404)
    return found[0]


@app.post("/api/client/", status_code=201, response_model=Client)
async def create(new: ClientIn) -> Any:
    query = f"INSERT INTO clients (number, tag, zone) VALUES (:number, :tag, :zone) RETURNING {COLUMNS}"
    return await one(query, number=new.number, tag=new.tag, zone=new.zone)


@app.get("/api/client/{client_id}/", response_model=Client)
async def find(client_id: int) -> Any:
    return await one(f"SELECT {COLUMNS} FROM clients WHERE id = :id", id=client_id)


@app.get("/api/client/", response_model=Page)
async def listing(after: int = 0, limit: int = 100) -> Any:
    query = f"SELECT {COLUMNS} FROM clients WHERE id > :after ORDER BY id LIMIT :limit"
    return {"items": await app.state.ask(query, after=after, limit=limit)}


@app.patch("/api/client/{client_id}/", response_model=Client)
async def change(client_id: int, changes: Changes) -> Any:
    query = f"UPDATE clients SET tag = :tag WHERE id = :id RETURNING {COLUMNS}"
    return await one(query, tag=changes.tag, id=client_id)


@app.delete("/api/client/{client_id}/", status_code=204)
async def delete(client_id: int) -> None:
    await one("DELETE FROM clients WHERE id = :id RETURNING id", id=client_id)


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["BARE_PORT"]), access_log=False, log_level="warning")

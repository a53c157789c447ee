//! Why that server?

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_core::{Ask, Because, Considered, Picked, PolicyKind, Server};

use super::Picture;
use super::pool::limit_of;
use crate::api;

/// What an explanation was asked about and is not there.
#[derive(Debug)]
pub(crate) enum Unknown {
    Pool,
    Server(String),
}

impl Picture<'_> {
    /// Where a request that was sent to the servers `tried` before would go, and why.
    pub(crate) fn explain(&self, pool: &str, tried: &[String]) -> Result<api::Explanation, Unknown> {
        let found = self.shared.pools.pool(pool).ok_or(Unknown::Pool)?;
        let servers = found.servers();
        let named = |name: &String| {
            let server = servers.iter().find(|server| server.id().name() == name);
            server.cloned().ok_or_else(|| Unknown::Server(name.clone()))
        };
        let tried: Vec<Arc<Server>> = tried.iter().map(named).collect::<Result<_, _>>()?;
        // What a policy that draws would draw is not known before; this is one draw of many.
        let random = RandomState::new().hash_one(self.now.as_nanos());
        let explained = found.explain(&Ask { now: self.now, random, tried: &tried, ..Ask::default() });
        Ok(api::Explanation {
            pool: explained.pool,
            rule: rule(&explained.policy).to_owned(),
            policy: explained.policy,
            picked: explained.picked.as_ref().ok().map(|id| id.name().to_owned()),
            because: explained.because.map(|because| reason(because).to_owned()),
            refused: explained.picked.err().map(|refused| refused.to_string()),
            servers: explained.servers.iter().map(candidate).collect(),
        })
    }

    /// The last picks of a pool, which are kept from now on for a while.
    pub(crate) fn picks(&self, pool: &str, last: usize) -> Option<Vec<api::Pick>> {
        let pool = self.shared.pools.pool(pool)?;
        pool.record_picks(self.now + RECORDED);
        let pick = |picked: &Picked| api::Pick {
            at: self.wall.text(picked.at),
            number: picked.number,
            picked: picked.picked.as_ref().ok().map(|id| id.name().to_owned()),
            refused: picked.picked.as_ref().err().map(ToString::to_string),
            in_flight: picked.in_flight,
            retry: picked.retry,
            candidates: picked.candidates.iter().map(candidate).collect(),
            passed_over: picked.passed_over.iter().map(|(verdict, count)| (verdict.to_string(), *count)).collect(),
        };
        Some(pool.recorded(last).iter().map(pick).collect())
    }
}

/// How long picks are kept after somebody asked for them: who looks at them asks again sooner.
const RECORDED: Duration = Duration::from_secs(60);

fn candidate(considered: &Considered) -> api::Candidate {
    let Considered { id, in_flight, weight, charged, limit, backup, score, turn, verdict, .. } = considered;
    api::Candidate {
        name: id.name().to_owned(),
        in_flight: *in_flight,
        weight: *weight,
        charged: *charged,
        max_connections: limit_of(*limit),
        backup: *backup,
        score: Some(*score).filter(|score| score.is_finite()),
        turn: *turn,
        verdict: verdict.to_string(),
    }
}

fn reason(because: Because) -> &'static str {
    match because {
        Because::Stuck => "stuck",
        Because::Trial => "trial",
        Because::Key => "key",
        _ => "policy",
    }
}

fn rule(policy: &str) -> &'static str {
    policy.parse().map_or("the rule is the program's own", PolicyKind::rule)
}

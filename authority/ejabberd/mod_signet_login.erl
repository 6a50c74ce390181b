%% SASL EXTERNAL with certificates of a signet authority, beside the host's passwords. For ejabberd 23.01.
%%
%% ejabberd by itself lets a certificate without an xmppAddr log in as anybody, and knows no revocation. With this
%% module, a certificate logs in the one account that its one xmppAddr names, if the TLS checks (the listener's
%% cafile, validity) passed, if one of the authorities of 'ca' has issued it and if its SHA-256 fingerprint is not on
%% the authority's list of the revoked. While the list is missing or cannot be read, no certificate logs in. Sessions
%% of a certificate that gets revoked are closed. Who uses which certificate is written to a file that the authority
%% reads: a login counts from SASL on, whether or not it binds a resource.
%%
%%   ca        the authority's certificate (PEM), or several
%%   revoked   the authority's list: a lower-case SHA-256 in hex per line
%%   logins    the file to write (the authority's setting 'logins'); none by default
%%   poll      milliseconds between looks at the list (500); a revoked session ends at the second look
%%
%% Where several instances of the authority are connected and one goes, ejabberd's mod_delegation takes the whole
%% delegation away: it is given to those that are left.
%%
%% The listener needs tls_verify and cafile. Each check is made to refuse when it fails itself: ejabberd goes on
%% past a hook that crashes.
-module(mod_signet_login).
-behaviour(gen_mod).
-behaviour(gen_server).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([stream_started/2, auth_result/3, handle_recv/3, session_opened/1, component_gone/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-define(SAN, {2, 5, 29, 17}).
-define(XMPP_ADDR, {1, 3, 6, 1, 5, 5, 7, 8, 5}).
-define(NS_ADD, <<"urn:xmpp:ccm2:add-cert:0">>).
-define(NONE, "there is none").
-define(REVOKED, "it is revoked").
-define(HOOKS, [{c2s_stream_started, stream_started}, {c2s_auth_result, auth_result},
                {c2s_handle_recv, handle_recv}, {c2s_session_opened, session_opened},
                {c2s_session_resumed, session_opened}]).

%% The sessions that logged in with a certificate, bound or not: {Pid, Host, SHA-256, resource or none, whether a
%% look has found it revoked}. The table outlives the process that looks.
-define(SESSIONS, mod_signet_login_sessions).
%% What the files of logins hold beside that: {{File, SHA-256}, DateTime}; and {{host, Host}, File} for each host that
%% writes one: hosts may share it. It outlives the process, too.
-define(USED, mod_signet_login_used).

%%% ---- gen_mod. The hooks come before the process and go after it: without it, they refuse.

start(Host, Opts) ->
    [ejabberd_hooks:add(Hook, Host, ?MODULE, Function, 10) || {Hook, Function} <- ?HOOKS],
    ejabberd_hooks:add(component_disconnected, ?MODULE, component_gone, 90), % after that of mod_delegation
    gen_mod:start_child(?MODULE, Host, Opts).

stop(Host) ->
    gen_mod:stop_child(?MODULE, Host),
    gen_mod:is_loaded_elsewhere(Host, ?MODULE) orelse
        ejabberd_hooks:delete(component_disconnected, ?MODULE, component_gone, 90),
    [ejabberd_hooks:delete(Hook, Host, ?MODULE, Function, 10) || {Hook, Function} <- ?HOOKS],
    ok.

reload(Host, _, _) ->
    ask(Host, configure).

depends(_, _) -> [].

mod_opt_type(ca) -> econf:file();
mod_opt_type(revoked) -> econf:binary();
mod_opt_type(logins) -> econf:binary();
mod_opt_type(poll) -> econf:timeout(millisecond).

mod_options(_) -> [ca, revoked, {logins, none}, {poll, 500}].

mod_doc() -> #{desc => <<"SASL EXTERNAL with certificates of a signet authority">>}.

ask(Host, Question) ->
    gen_server:call(gen_mod:get_module_proc(Host, ?MODULE), Question).

%%% ---- hooks, in the process of the client's stream

%% EXTERNAL is offered to a certificate that may log in, and to one that is revoked: so that a refusal
%% (not-authorized) tells its owner just that.
stream_started(#{tls_verify := true, stream_encrypted := true, stream_authenticated := false} = State, _) ->
    case judge(State) of
        {ok, _, _} -> State;
        {no, ?REVOKED} -> State;
        {no, Why} ->
            Why == ?NONE orelse say(Why),
            State#{tls_verify => false}
    end;
stream_started(State, _) ->
    State.

%% The last word on a login that ejabberd would accept. SASL's failure cannot be put in the place of its success:
%% the stream ends after it.
auth_result(#{sasl_mech := <<"EXTERNAL">>} = State, true, _) ->
    try
        {ok, User, Sha} = accept(State),
        ets:insert(?SESSIONS, {self(), maps:get(lserver, State), Sha, none, false}),
        ok = ask(maps:get(lserver, State), {used, Sha}),
        State#{signet_login => {ok, User, Sha}, signet_sha256 => Sha}
    catch
        throw:Why -> refuse(State, Why);
        _:Why -> refuse(State, unexpected(Why))
    end;
auth_result(State, _, _) ->
    State.

accept(#{lserver := Host, signet_authzid := Asked} = State) ->
    case judge(State) of
        {ok, User, Sha} ->
            Asked == <<>> orelse jid:tolower(jid:decode(Asked)) == {User, Host, <<>>}
                orelse throw("another identity was asked for"),
            {ok, User, Sha};
        {no, Why} -> throw(Why)
    end.

refuse(State, Why) ->
    say(Why),
    Text = <<"Your certificate is not accepted">>,
    State1 = xmpp_stream_in:send(State, {sasl_failure, 'not-authorized', xmpp:mk_text(Text, <<"en">>)}),
    {stop, xmpp_stream_in:send(State1, xmpp:serr_not_authorized(Text, <<"en">>))}.

%% ejabberd itself takes the domain for no identity, and a full JID for its account: what was asked for is kept.
handle_recv(State, _, {sasl_auth, <<"EXTERNAL">>, Asked}) ->
    State#{signet_authzid => Asked};

%% Between login and binding (or resuming), the certificate may have gone bad: nothing is served then, not even
%% for as long as the next look takes. And until that, a revoked session is still there, for the answer to its own
%% revocation, but gets no new certificate: whoever stole the old one would keep the account by that.
handle_recv(#{signet_sha256 := Sha, stream_state := Stage} = State, Element, _) ->
    try
        Stage == wait_for_bind andalso judge(State) /= maps:get(signet_login, State) andalso throw(bad),
        Stage == established andalso is_add(Element) andalso check_list(State, Sha),
        State
    catch
        _:_ -> {stop, xmpp_stream_in:send(State, last_word())}
    end;
handle_recv(State, _, _) ->
    State.

is_add({xmlel, <<"iq">>, _, Children}) ->
    lists:any(fun(Child) -> is_tuple(Child) andalso element(1, Child) == xmlel andalso
                                xmpp:get_ns(Child) == ?NS_ADD end, Children);
is_add(_) ->
    false.

session_opened(#{signet_sha256 := Sha, resource := Resource, lserver := Host} = State) ->
    ets:update_element(?SESSIONS, self(), {4, Resource}),
    catch ask(Host, {used, Sha}),
    State;
session_opened(State) ->
    State.

%% Another connection of the same component is asked what it can do, as if it had just come: mod_delegation has been
%% told before us, by this same process, that the component is gone. Without any, the question would go astray.
component_gone(Component, _) ->
    lists:member(Component, ejabberd_router:get_all_routes()) andalso mod_delegation:component_connected(Component),
    ok.

last_word() ->
    xmpp:serr_not_authorized(<<"Your certificate is no longer accepted">>, <<"en">>).

say(Why) ->
    logger:info("Certificate refused: ~ts", [Why]).

%% A certificate that cannot be decoded, or the list's process that does not answer.
unexpected(Why) ->
    io_lib:format("~0tP", [Why, 12]).

%%% ---- certificates

%% {ok, account, SHA-256} of the certificate that the client showed, or {no, why not}.
judge(#{socket := Socket, lserver := Host} = State) ->
    try
        Der = certificate(Socket),
        {'Certificate', Certificate, _, _} = public_key:pkix_decode_cert(Der, plain),
        Sha = fingerprint(Der),
        is_issued(Der, ask(Host, authorities)) orelse throw("it is not of a trusted authority"),
        is_valid(element(6, Certificate)) orelse throw("it is expired or not valid yet"),
        check_list(State, Sha),
        {ok, account(Certificate, Host), Sha}
    catch
        throw:Why -> {no, Why};
        _:Why -> {no, unexpected(Why)}
    end.

certificate(Socket) ->
    case xmpp_socket:get_peer_certificate(Socket, der) of
        {ok, Der} ->
            xmpp_socket:get_verify_result(Socket) == 0 orelse throw("it is not of a trusted authority"),
            Der;
        _ -> throw(?NONE)
    end.

fingerprint(Der) ->
    string:lowercase(binary:encode_hex(crypto:hash(sha256, Der))).

is_issued(Der, Authorities) ->
    lists:any(fun({Authority, Key}) -> public_key:pkix_is_issuer(Der, Authority) andalso
                                           public_key:pkix_verify(Der, Key) end, Authorities).

is_valid({'Validity', From, To}) ->
    Now = calendar:datetime_to_gregorian_seconds(calendar:universal_time()),
    seconds(From) =< Now andalso Now =< seconds(To).

seconds({utcTime, Text}) -> % RFC 5280 4.1.2.5.1
    seconds({generalTime, if hd(Text) >= $5 -> "19"; true -> "20" end ++ Text});
seconds({generalTime, Text}) ->
    {ok, [Y, Mo, D, H, Mi, S], "Z"} = io_lib:fread("~4d~2d~2d~2d~2d~2d", Text),
    calendar:datetime_to_gregorian_seconds({{Y, Mo, D}, {H, Mi, S}}).

%% The account of this host that the certificate is for: exactly one xmppAddr, which is a bare JID.
account(Certificate, Host) ->
    Extensions = case element(11, Certificate) of L when is_list(L) -> L; _ -> [] end,
    Addresses = [Value || {'Extension', ?SAN, _, Der} <- Extensions,
                          {otherName, {'AnotherName', ?XMPP_ADDR, Value}} <- alternative_names(Der)],
    length(Addresses) == 1 orelse throw("it has not exactly one xmppAddr"),
    User = user(hd(Addresses), Host),
    ejabberd_auth:user_exists(User, Host) orelse throw("there is no such account"),
    User.

%% Erlang reads more than DER: what it would not write the same way is refused.
alternative_names(Der) ->
    try
        Names = public_key:der_decode('SubjectAltName', Der),
        Der = public_key:der_encode('SubjectAltName', Names),
        Names
    catch
        _:_ -> throw("its alternative names cannot be read")
    end.

user(Address, Host) ->
    try
        {ok, Text} = 'XmppAddr':decode('XmppAddr', Address),
        {ok, Address} = 'XmppAddr':encode('XmppAddr', Text),
        {User, Host, <<>>} = jid:tolower(jid:decode(iolist_to_binary(Text))),
        true = User /= <<>>,
        User
    catch
        _:_ -> throw("its xmppAddr is no account of this host")
    end.

check_list(#{lserver := Host}, Sha) ->
    case ask(Host, {look_up, Sha}) of
        good -> ok;
        revoked -> throw(?REVOKED);
        unknown -> throw("revocations are not known")
    end.

%%% ---- the process that has the list of the revoked and the times of use, one for each host

init([Host, _]) ->
    process_flag(trap_exit, true),
    [catch ets:new(Table, [named_table, public, {heir, erlang:group_leader(), none}]) || Table <- [?SESSIONS, ?USED]],
    {ok, look_in(0, configure(Host))}.

%% With the options of this moment: those of the start may be old when the process is started again.
configure(Host) ->
    #{ca := Ca, revoked := List, logins := Logins, poll := Poll} = gen_mod:get_module_opts(Host, ?MODULE),
    State = #{host => Host, authorities => authorities(Ca), list => List, stamp => none, revoked => none, text => <<>>,
              complaint => none, logins => Logins, poll => Poll},
    ets:insert(?USED, {{host, Host}, Logins}),
    [ets:insert_new(?USED, {{Logins, Sha}, Time}) || {Sha, Time} <- read_logins(Logins)],
    write_logins(State),
    State.

look_in(Milliseconds, State) ->
    State#{timer => erlang:start_timer(Milliseconds, self(), look)}.

authorities(File) ->
    try
        {ok, Pem} = file:read_file(File),
        [_ | _] = Ders = [Der || {'Certificate', Der, not_encrypted} <- public_key:pem_decode(Pem)],
        [{Der, key(public_key:pkix_decode_cert(Der, otp))} || Der <- Ders]
    catch
        _:_ ->
            logger:error("No login with certificates: ~ts: not a certificate", [File]),
            []
    end.

key({'OTPCertificate', Certificate, _, _}) ->
    {'OTPSubjectPublicKeyInfo', {'PublicKeyAlgorithm', _, Parameters}, Key} = element(8, Certificate),
    case Key of
        {'ECPoint', _} -> {Key, Parameters};
        _ -> Key
    end.

handle_call(authorities, _, #{authorities := Authorities} = State) ->
    {reply, Authorities, State};
handle_call({look_up, Sha}, _, State) ->
    #{revoked := Revoked} = New = refresh(State),
    {reply, if Revoked == none -> unknown; is_map_key(Sha, Revoked) -> revoked; true -> good end, New};
handle_call({used, Sha}, _, State) ->
    note_use(State, [Sha]),
    {reply, ok, State};
handle_call(configure, _, #{host := Host}) ->
    {reply, ok, look_in(0, configure(Host))}.

handle_cast(write_logins, State) ->
    write_logins(State),
    {noreply, State}.

handle_info({timeout, Timer, look}, #{timer := Timer, poll := Poll} = State) -> % no other: that is an older one's
    New = refresh(State),
    forget(New),
    close(New),
    {noreply, look_in(Poll, New)};
handle_info(_, State) ->
    {noreply, State}.

terminate(_, #{host := Host} = State) ->
    write_logins(State),
    ets:delete(?USED, {host, Host}).

%% Reads the list if its file is another one than before. The authority replaces the file as a whole, so that inode,
%% size or time tell; a second within which it changes twice brings another inode. Not the time of the last access.
refresh(#{list := File, stamp := Stamp} = State) ->
    case file:read_file_info(File, [raw, {time, posix}]) of
        {ok, Info} ->
            case setelement(5, Info, none) of
                Stamp -> State;
                New -> read_list(State#{stamp => New})
            end;
        {error, Why} -> complain(State, [File, ": ", file:format_error(Why)])
    end.

%% The last set is gone on with from where the text is another one than before: long lists grow at their end.
read_list(#{list := File, text := Old, revoked := Revoked} = State) ->
    case file:read_file(File) of
        {ok, New} ->
            Same = if Revoked == none -> 0; true -> unchanged(Old, New) end,
            Lines = lines(New, Same),
            case lists:all(fun is_fingerprint/1, Lines) of
                true ->
                    Kept = if Revoked == none -> #{}; true -> lists:foldl(fun drop/2, Revoked, lines(Old, Same)) end,
                    Set = lists:foldl(fun add/2, Kept, Lines),
                    State#{revoked => Set, text => New, complaint => none};
                false -> complain(State, [File, " is not a list of fingerprints"])
            end;
        {error, Why} -> complain(State, [File, ": ", file:format_error(Why)])
    end.

%% A set that knows how often a line is there.
add(Line, Set) ->
    maps:update_with(Line, fun(Count) -> Count + 1 end, 1, Set).

drop(Line, Set) ->
    case Set of
        #{Line := 1} -> maps:remove(Line, Set);
        #{Line := Count} -> Set#{Line := Count - 1}
    end.

%% How many bytes are the same: whole lines.
unchanged(Old, New) ->
    line_start(New, binary:longest_common_prefix([Old, New])).

line_start(_, 0) -> 0;
line_start(Text, At) ->
    case binary:at(Text, At - 1) of
        $\n -> At;
        _ -> line_start(Text, At - 1)
    end.

%% Copies: a part of the text would keep all of it in memory.
lines(Text, From) ->
    <<_:From/binary, Rest/binary>> = Text,
    [binary:copy(Line) || Line <- binary:split(Rest, <<"\n">>, [global, trim_all])].

is_fingerprint(Line) ->
    re:run(Line, "\\A[0-9a-f]{64}\\z", [{capture, none}]) == match.

%% No list to trust. Each complaint is logged once.
complain(#{complaint := Last} = State, Why) ->
    Text = iolist_to_binary(Why),
    Text == Last orelse logger:error("No login with certificates: ~ts", [Text]),
    State#{revoked => none, stamp => none, complaint => Text}.

%% Closes the sessions that the look before this one found revoked already. Who revokes the certificate of its own
%% session gets the answer in between: the authority sends it only after it has written the list.
close(#{revoked := none}) ->
    ok;
close(#{host := Host, revoked := Revoked}) ->
    [case is_map_key(Sha, Revoked) of
         true when Seen ->
             logger:info("Closing a session of ~ts: its certificate: " ++ ?REVOKED, [Host]),
             xmpp_stream_in:send(Pid, last_word()),
             xmpp_stream_in:stop_async(Pid); % also one that waits to be resumed
         IsRevoked -> ets:update_element(?SESSIONS, Pid, {5, IsRevoked})
     end || {Pid, _, Sha, _, Seen} <- sessions(Host)],
    ok.

sessions(Host) ->
    ets:match_object(?SESSIONS, {'_', Host, '_', '_', '_'}).

%% Sessions that have ended were in use until now.
forget(#{host := Host} = State) ->
    Ended = [{Pid, Sha} || {Pid, _, Sha, _, _} <- sessions(Host), not is_process_alive(Pid)],
    [ets:delete(?SESSIONS, Pid) || {Pid, _} <- Ended],
    Ended == [] orelse note_use(State, [Sha || {_, Sha} <- Ended]).

%%% ---- who uses which certificate

now_text() ->
    list_to_binary(calendar:system_time_to_rfc3339(erlang:system_time(second), [{offset, "Z"}])).

note_use(#{logins := none}, _) ->
    ok;
note_use(#{logins := File} = State, Shas) ->
    Now = now_text(),
    ets:insert(?USED, [{{File, Sha}, Now} || Sha <- Shas]),
    write_logins(State).

read_logins(none) ->
    [];
read_logins(File) ->
    Text = case file:read_file(File) of {ok, Read} -> Read; _ -> <<>> end,
    Form = "^([0-9a-f]{64})\t(\\d+-\\d+-\\d+T\\d+:\\d+:\\d+Z)(\t|$)",
    case re:run(Text, Form, [global, multiline, {capture, [1, 2], binary}]) of
        {match, Found} -> [{Sha, Time} || [Sha, Time] <- Found];
        nomatch -> []
    end.

%% By the process of one of the hosts that share the file, so that none writes less than another knew.
write_logins(#{logins := none}) ->
    ok;
write_logins(#{logins := File, host := Host}) ->
    Hosts = [H || H <- ejabberd_option:hosts(), ets:lookup(?USED, {host, H}) == [{{host, H}, File}]],
    case lists:sort(Hosts) of
        [Host | _] -> write_logins(File, lists:append([sessions(H) || H <- Hosts]));
        [Other | _] -> gen_server:cast(gen_mod:get_module_proc(Other, ?MODULE), write_logins);
        [] -> ok % the last of them is taken out of the configuration
    end.

%% Written beside and renamed over it, so that a reader finds a whole file.
write_logins(File, Sessions) ->
    In = [{Sha, ["\t", Resource]} || {Pid, _, Sha, Resource, _} <- Sessions, is_binary(Resource),
              is_process_alive(Pid), re:run(Resource, "[\\x00-\\x1f\\x7f]", [{capture, none}]) == nomatch],
    By = lists:foldl(fun({Sha, Text}, Map) -> Map#{Sha => [maps:get(Sha, Map, []), Text]} end, #{}, In),
    Lines = [[Sha, "\t", Time, maps:get(Sha, By, []), "\n"] || {{F, Sha}, Time} <- ets:tab2list(?USED), F == File],
    New = <<File/binary, ".new">>,
    Done = case file:write_file(New, Lines) of ok -> file:rename(New, File); Error -> Error end,
    Done == ok orelse logger:error("The file of logins could not be written: ~0tp", [Done]),
    ok.
